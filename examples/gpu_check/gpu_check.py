r"""Whether the local back end works on this machine's GPU, and how fast: ``python gpu_check.py [--minutes 12]``.

For a machine with Python, PyTorch and transformers and nothing else: what is missing lies beside this file in bundles
(`bundles.py` makes them), which are unpacked into `--work`. In a clone with everything installed no bundle is needed.

Checks run in the order of their value, each in a process of its own with a limit of its own, so that one that fails or
hangs costs the others nothing. A line is printed and the JSON file written as each ends. Exit status: 0 all passed, 1
one failed or was cut, 2 nothing could be checked: there is no GPU, or a bundle is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MARK = "gpu_check result: "
"""What the line of a check's result begins with; `checks.py` prints it."""
NO_GPU = 3
"""Exit status of a check that has found no GPU. Python itself ends with 1 and 2."""


@dataclass(frozen=True)
class Check:
    name: str
    what: str
    seconds: float
    """At most; the last check gets what is left."""


CHECKS = (
    Check("parity", "log-probs beside the CPU's, fp32 and bf16", 120),
    Check("methods", "a step of each method on the embedded world", 180),
    Check("speed", "SmolLM2: fine-tuning, then seconds and memory of a step", 240),
    Check("learning", "SmolLM2: ZPPO against GRPO with replay, equal steps", 600),
)


@dataclass
class Result:
    name: str
    status: str
    """`passed`, `failed`, `cut` (its time was over), `skipped` (no time was left) or `no gpu`."""
    seconds: float
    said: str
    """One line."""
    figures: dict[str, Any]


def run_check(check: Check, command: Sequence[str], seconds: float, log: Path, environment: dict[str, str]) -> Result:
    """`command` prints the line of its result last; what it prints goes to `log`."""
    started = time.monotonic()
    with log.open("w") as file:
        # A group of its own: a check that is cut takes its children along.
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout=max(1.0, seconds))
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as reason:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(reason, KeyboardInterrupt):
                raise
            status = None
    took = time.monotonic() - started
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    found = [figures for line in lines if (figures := figures_in(line)) is not None]
    figures = found[-1] if found else {}
    said = str(figures.pop("said", "")) or (lines[-1][:200] if lines else "it said nothing")
    if status is None:
        return Result(check.name, "cut", took, f"after {seconds:.0f} s; {said}", figures)
    if status == NO_GPU and not found:
        return Result(check.name, "no gpu", took, said, {})
    passed = status == 0 and bool(found) and figures.pop("passed", False)
    return Result(check.name, "passed" if passed else "failed", took, said, figures)


def figures_in(line: str) -> dict[str, Any] | None:
    """Of a line with a check's result; None of another, and of one that was cut or that others wrote into."""
    try:
        found = json.loads(line.removeprefix(MARK)) if line.startswith(MARK) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def run_all(
    checks: Sequence[Check], command: Callable[[Check, float], Sequence[str]], out: Path, minutes: float, logs: Path
) -> list[Result]:
    """Checks one after the other within `minutes`; the table as it grows, and `out` after each line."""
    end, results = time.monotonic() + minutes * 60, []
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    for check in checks:
        left = end - time.monotonic()
        seconds = min(check.seconds, left)
        if left < 5:
            result = Result(check.name, "skipped", 0.0, "no time was left", {})
        else:
            result = run_check(check, command(check, seconds), seconds, logs / f"{check.name}.log", environment)
        results.append(result)
        print(f"{result.name:10} {result.status:8} {result.seconds:6.1f} s  {result.said}", flush=True)
        write(out, results)
    return results


def write(out: Path, results: Sequence[Result]) -> None:
    temporary = out.with_name(out.name + ".tmp")
    temporary.write_text(json.dumps({"checks": [asdict(result) for result in results]}, indent=1) + "\n")
    temporary.replace(out)


def _extract(tar: tarfile.TarFile, work: Path) -> None:
    """Its plain files; `filter="data"`, which refuses what lies elsewhere, is from Python 3.11.4 on."""
    for member in filter(tarfile.TarInfo.isfile, tar):
        path = work / member.name
        if work.resolve() not in path.resolve().parents:
            raise ValueError(f"{tar.name}: {member.name} lies outside the bundle")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            shutil.copyfileobj(tar.extractfile(member), out)


def unpack(bundles: Path, work: Path) -> bool:
    """Bundles of a folder into `work`: packages, weights (joined), models, code. Whether there were any.

    Raises:
        ValueError: they are for another Python, or incomplete.
    """
    archives = sorted(bundles.glob("gpu-check-*.tar"))
    if not archives:
        return False
    for archive in archives:
        with tarfile.open(archive) as tar:
            _extract(tar, work)
    about = json.loads((work / "about.json").read_text())
    here = "{}.{}".format(*sys.version_info)
    if about["python"] != here:
        raise ValueError(
            f"the bundles are for Python {about['python']}, this is {here}; make them with --python {here}"
        )
    missing = sorted(set(about["bundles"]) - {archive.name for archive in archives})
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing in {bundles}")
    for wheel in sorted((work / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(work / "site-packages")  # dill takes what lies elsewhere for the user's own code
    if parts := sorted((work / "weights").glob("*.gguf.*")):
        with (work / "weights" / "smollm2.gguf").open("wb") as whole:
            for part in parts:
                whole.write(part.read_bytes())
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--smollm2", action="store_true", help="SmolLM2 on the CPU too, not the embedded world: hours")
    parser.add_argument("--minutes", type=float, default=12, help="for all checks together")
    parser.add_argument("--checks", default=",".join(check.name for check in CHECKS), help="names, with commas")
    parser.add_argument("--bundles", type=Path, default=HERE, help="folder of gpu-check-*.tar")
    parser.add_argument(
        "--work", type=Path, help="folder for what is unpacked and made; by default one that is removed"
    )
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"))
    options = parser.parse_args(arguments)
    chosen = [check for check in CHECKS if check.name in options.checks.split(",")]
    if unknown := sorted(set(options.checks.split(",")) - {check.name for check in chosen}):
        print(f"gpu_check: --checks: there is no {unknown[0]}; {', '.join(c.name for c in CHECKS)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        try:
            bundled = unpack(options.bundles, work)
        except (OSError, ValueError, KeyError, tarfile.TarError) as error:
            print(f"gpu_check: --bundles: {error}", file=sys.stderr)
            return 2
        code = work / "code" if bundled else HERE.parents[1]
        places = [str(work / "site-packages")] if bundled else []
        places += [str(code), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(places)

        def command(check: Check, seconds: float) -> list[str]:
            script = str(code / "examples" / "gpu_check" / "checks.py")
            given = ["--device", options.device, "--seconds", f"{seconds:.0f}", "--work", str(work)]
            return [sys.executable, script, check.name, *given, *(["--smollm2"] if options.smollm2 else [])]

        results = run_all(chosen, command, options.out, options.minutes, work)
        for result in results:
            if result.status in ("failed", "cut"):
                log = work / f"{result.name}.log"
                print(f"--- the end of {log}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
    if all(result.status == "no gpu" for result in results):
        return 2
    return 0 if all(result.status == "passed" for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
