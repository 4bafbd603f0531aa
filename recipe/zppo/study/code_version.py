"""Which code trained a run, so that a table can say when its runs are not of one version."""

import functools
import hashlib

from recipe.zppo.config.paths import ROOT

_DECIDES = ("recipe/zppo", "recipe/cpu", "verl/trainer")
_DOES_NOT = ("recipe/zppo/study",)


@functools.cache
def code_version() -> str:
    """Hash of the files that decide on what a run does: our code and the trainer's configs."""
    digest = hashlib.sha256()
    for folder in _DECIDES:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in (".py", ".yaml") and not name.startswith(_DOES_NOT):
                digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
