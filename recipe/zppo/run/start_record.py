"""What a run was started with: a line of `starts.jsonl` in its folder for each start, and the composed configuration.

Nothing of an earlier start is overwritten. Keys and passwords are in neither: the teacher's is in the environment only,
and others are blotted out (`recipe.zppo.run.blotting`).
"""

import hashlib
import os
import subprocess
import sys
import time
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.config.paths import ROOT
from recipe.zppo.errors import ConfigError
from recipe.zppo.run.blotting import blotted, blotted_command
from recipe.zppo.run.files import write_atomically, write_text_atomically
from recipe.zppo.run.line_log import lines_of

STARTS = "starts.jsonl"
_ENDS = 1 << 20
"""Bytes at either end of a data file that its hash is of."""


def record_start(config: DictConfig) -> None:
    """Write both; the configuration as `config_<n>.yaml`, resolved.

    Raises:
        ConfigError: the run's folder can't be written to.
    """
    folder = Path(str(config.trainer.default_local_dir))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        starts = folder / STARTS
        before = starts.read_bytes() if starts.exists() else b""
        if before and not before.endswith(b"\n"):
            before += b"\n"  # half a line, of a version that could be killed while it wrote
        number = before.count(b"\n") + 1
        composed = f"config_{number}.yaml"
        write_text_atomically(str(folder / composed), OmegaConf.to_yaml(blotted(config), resolve=True))
        data = {
            key: [_fingerprint(file) for file in _files(config.data.get(key))] for key in ("train_files", "val_files")
        }
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "command": blotted_command(sys.orig_argv),
            "config": composed,
            "model": {
                key: _place(value)
                for key in ("path", "tokenizer_path")
                if (value := OmegaConf.select(config, f"actor_rollout_ref.model.{key}"))
            },
            "data": data,
            "code": _code(),
            "python": sys.version.split()[0],
            "packages": {found.name: found.version for found in sorted(distributions(), key=lambda found: found.name)},
        }
        whole = before + b"".join(lines_of([line]))
        write_atomically(str(starts), lambda temporary: Path(temporary).write_bytes(whole))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"trainer.default_local_dir: {folder} can't be written to ({reason}); name another folder, or make room"
        ) from error


def _place(model: Any) -> str:
    """A folder's whole path, as a relative one looks like a name on the hub from elsewhere; anything else as it is."""
    folder = Path(str(model)).expanduser()
    return os.path.abspath(folder) if folder.is_dir() else str(model)


def _files(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else [str(file) for file in value]


def _fingerprint(file: str) -> dict[str, Any]:
    """Name, bytes, and a hash of its first and last megabyte; the name alone of what is not on this machine."""
    path = Path(file).expanduser()
    if not path.is_file():
        return {"file": file}
    size, digest = path.stat().st_size, hashlib.blake2b(digest_size=16)
    with path.open("rb") as opened:
        digest.update(opened.read(_ENDS))
        opened.seek(max(0, size - _ENDS))
        digest.update(opened.read(_ENDS))
    return {"file": file, "bytes": size, "hash_of_ends": digest.hexdigest()}


def _code() -> dict[str, Any] | None:
    """Commit of the checkout that runs, and whether files differ from it; None where it is an installed package."""
    if not (ROOT / ".git").exists():
        return None
    try:
        git = [_git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")]
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": git[0], "changed": bool(git[1])}


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=10, env=environment
    ).stdout.strip()
