"""What moving code must not change: ``python -m benchmarks.golden record DIR [PART ...]``, then ``compare OLD NEW``.

Parts: ``configs`` (every method, platform and engine, composed), ``refusals`` (the text of every error that the tests
of refusals provoke, and of one bad value of each kind for each `zppo` key), ``local`` and ``verl`` (twelve methods,
four steps each with full determinism), ``commands`` (what the commands print of a run), ``resume`` (halves of runs;
``resume OLD OUT`` goes on from those of an older commit).

Numbers depend on the machine, so a recording is compared with one of the same machine and is not kept in the
repository. Times, paths and process ids are left out.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

METHODS = (
    *("zppo", "grpo", "grpo_replay", "grpo_both", "grpo_replay_bcq", "grpo_replay_ncq", "hint", "prefix"),
    *("off_distill", "off_distill_replay", "on_distill", "on_distill_replay"),
)
PARTS = ("configs", "refusals", "local", "verl", "commands")
REFUSAL_TESTS = ("config", "data", "dry_run", "local/test_refusals.py", "preflight", "study", "teacher")
ROOT = Path.cwd()


def overrides(world: Path, folder: Path, method: str, *changes: str) -> list[str]:
    return [
        *("platform=cpu", f"method={method}"),
        f"data.train_files={world}/train.parquet",
        f"data.val_files={world}/val.parquet",
        "data.val_max_samples=16",
        "data.train_batch_size=8",
        "data.max_prompt_length=32",
        "data.max_response_length=32",
        f"actor_rollout_ref.model.path={world}/student",
        "actor_rollout_ref.actor.optim.lr=1.5e-4",
        "actor_rollout_ref.model.use_remove_padding=true",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=1024",
        "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=1024",
        "actor_rollout_ref.rollout.n=4",
        "actor_rollout_ref.rollout.max_model_len=512",
        "actor_rollout_ref.rollout.full_determinism=true",
        f"zppo.teacher.path={world}/teacher",
        "zppo.teacher.n_rollouts=2",
        "zppo.replay.fraction=0.5",
        "zppo.replay.capacity=12",
        "zppo.reformulation.fraction=0.5",
        "zppo.reformulation.max_candidate_tokens=32",
        "zppo.compression.max_tokens=48",
        f"trainer.default_local_dir={folder}",
        "trainer.total_training_steps=4",
        "trainer.save_freq=4",
        "trainer.test_freq=4",
        "trainer.val_before_train=true",
        "zppo.export.hf_model=false",
        *changes,
    ]


def environment() -> dict[str, str]:
    return os.environ | {
        **{"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0"},
        **{"RAY_ADDRESS": "local", "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"},
    }


def call(arguments: list[str], log: Path, cwd: Path | None = None) -> int:
    with log.open("w") as out:
        return subprocess.run(
            [sys.executable, *arguments], env=environment(), cwd=cwd or ROOT, stdout=out, stderr=subprocess.STDOUT
        ).returncode


# ---------------------------------------------------------------------- the parts


def record_configs(out: Path) -> None:
    from omegaconf import OmegaConf

    from recipe.zppo.config.compose import compose

    for method in METHODS:
        for platform in ("cpu", "cpu_vllm", "gpu"):
            for engine in ("dp", "megatron"):
                try:
                    config = compose([f"method={method}", f"platform={platform}", f"model_engine={engine}"])
                    text = OmegaConf.to_yaml(config, sort_keys=True)
                except Exception as error:
                    text = f"{type(error).__name__}: {error}"
                (out / f"{method}-{platform}-{engine}.yaml").write_text(text)


def record_refusals(out: Path) -> None:
    """One bad value of each kind for each key, and what the tests provoke (by a plug-in that listens to the errors)."""
    from omegaconf import OmegaConf

    from recipe.zppo.config.compose import compose
    from recipe.zppo.config.validation import validate_zppo

    node = OmegaConf.to_container(compose(["zppo.teacher.path=t", "trainer.default_local_dir=d"]).zppo, resolve=True)
    lines = []
    for path in _leaves(node):
        for bad in ("text", "", None, -1, 0, 1, 1.5, 1e12, float("inf"), True, [1], {"x": 1}, {}):
            spoilt = json.loads(json.dumps(node))
            parent = spoilt
            for key in path[:-1]:
                parent = parent[key]
            parent[path[-1]] = bad
            lines.append(f"{'.'.join(path)}={bad!r}: {_refusal(validate_zppo, OmegaConf.create(spoilt))}")
        parent = spoilt = json.loads(json.dumps(node))
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1] + "x"] = 1
        lines.append(f"{'.'.join(path)}x: {_refusal(validate_zppo, OmegaConf.create(spoilt))}")
    (out / "keys.txt").write_text("\n".join(lines) + "\n")
    heard = out / "heard.raw"
    heard.unlink(missing_ok=True)
    os.environ["ZPPO_GOLDEN_HEARD"] = str(heard)
    tests = [str(ROOT / "tests" / name) for name in REFUSAL_TESTS if (ROOT / "tests" / name).exists()]
    call(["-m", "pytest", "-q", "-p", "benchmarks.golden", "--hypothesis-seed=0", *tests], out / "pytest.log")
    messages = {_normal(line) for line in heard.read_text().splitlines()}
    heard.unlink()
    (out / "messages.txt").write_text("\n".join(sorted(messages)) + "\n")


def _leaves(node: dict, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in node.items():
        found += _leaves(value, (*before, key)) if isinstance(value, dict) and value else [(*before, key)]
    return found


def _refusal(validate: object, node: object) -> str:
    try:
        validate(node)
        return "accepted"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def record_local(out: Path, world: Path, methods: tuple[str, ...] = METHODS) -> None:
    for method in methods:
        _train("recipe.zppo.local", out, world, method)


def record_verl(out: Path, world: Path, methods: tuple[str, ...] = METHODS) -> None:
    for method in methods:
        _train("verl.trainer.main_zppo", out, world, method)


def _train(module: str, out: Path, world: Path, name: str, *changes: str, keep: bool = False) -> None:
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    method = name.partition("-")[0]
    status = call(["-m", module, *overrides(world, Path("run"), method, *changes)], folder / "train.log", cwd=folder)
    (folder / "status.txt").write_text(str(status))
    print(module, name, "exit status", status, flush=True)
    run = folder / "run"
    if not keep:
        for path in [*run.glob("global_step_*"), *run.glob("local_state.pt"), *run.glob("tensorboard*")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def record_commands(out: Path, runs: Path) -> None:
    """What the README's commands print of the run ``zppo`` of the local back end."""
    folder = runs / "zppo"
    for name, arguments in {
        "summary": ["recipe.zppo.summary", "run"],
        "candidate_match": ["recipe.zppo.candidate_match", "run"],
        "compare": ["recipe.zppo.compare", "run", "../grpo/run"],
        "watch": ["recipe.zppo.watch", "run"],
        "plots": ["recipe.zppo.plots", "run"],
        "main_help": ["verl.trainer.main_zppo", "--help"],
        "main_cfg": ["verl.trainer.main_zppo", "--cfg", "job", "zppo.teacher.path=t"],
        "main_typo": ["verl.trainer.main_zppo", "zppo.tresholt=1"],
        "study_help": ["recipe.zppo.study", "--help"],
        "convert_help": ["recipe.zppo.data.convert", "--help"],
        "corpus_help": ["recipe.zppo.data.zppo_77k", "--help"],
        "world_help": ["recipe.zppo.world", "--help"],
        "dry_run": ["verl.trainer.main_zppo", *overrides(Path("WORLD"), Path("x"), "zppo"), "zppo.dry_run=true"],
    }.items():
        if name == "dry_run":
            arguments = [argument.replace("WORLD", os.environ["ZPPO_GOLDEN_WORLD"]) for argument in arguments]
        log = out / f"{name}.txt"
        status = call(["-m", *arguments], log, cwd=folder)
        log.write_text(f"exit status {status}\n" + _normal(log.read_text()))


def record_resume(out: Path, world: Path) -> None:
    """Runs with ``next_step`` that stop after step 2, kept whole: `resume` of the new commit goes on from copies."""
    change = ("zppo.reformulation.schedule=next_step", "trainer.save_freq=2")
    for module in ("recipe.zppo.local", "verl.trainer.main_zppo"):
        side = out / module.rpartition(".")[2]
        _train(module, side, world, "zppo-whole", *change, "zppo.updates_per_step=1")
        half = ("zppo.updates_per_step=1", "trainer.total_training_steps=2", "trainer.test_freq=-1")
        _train(module, side, world, "zppo-half", *change, *half, keep=True)


def resume(old: Path, out: Path, world: Path) -> None:
    """Go on from the old commit's halves; steps 3 and 4 must be those of its whole runs."""
    change = ("zppo.reformulation.schedule=next_step", "trainer.save_freq=2", "zppo.updates_per_step=1")
    for module in ("recipe.zppo.local", "verl.trainer.main_zppo"):
        side = module.rpartition(".")[2]
        folder = out / side
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(old / "resume" / side / "zppo-half", folder)
        status = call(
            ["-m", module, *overrides(world, Path("run"), "zppo", *change)], folder / "resumed.log", cwd=folder
        )
        whole = old / "resume" / side / "zppo-whole" / "run" / "rollouts"
        same = all(
            (folder / "run/rollouts" / name).read_bytes() == (whole / name).read_bytes()
            for name in ("step_000003.jsonl", "step_000004.jsonl")
        )
        print(f"resume {side}: exit status {status}, steps 3 and 4 {'equal' if same else 'DIFFER'}", flush=True)


# ---------------------------------------------------------------------- comparing


_UNEQUAL = re.compile(
    r"timing|seconds|perf/|/mfu|throughput|memory|_s$|_gb$|time|tokens_per|rollout_corr|rollout_probs_diff",
    re.IGNORECASE,
)
"""Times, and how far servers and trainer round apart, which depends on who shares a batch on the server."""


def digest(folder: Path) -> dict[str, str]:
    """What is compared of a recording: a text for each file."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or name.startswith("resume/") or "/outputs/" in name:
            continue
        if path.name == "metrics.jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            rows = [{k: v for k, v in row.items() if not _UNEQUAL.search(k)} for row in rows]
            found[name] = "\n".join(json.dumps(row, sort_keys=True) for row in rows)
        elif path.suffix in (".yaml", ".txt"):
            found[name] = path.read_text()
        elif path.suffix == ".jsonl":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def compare(old: Path, new: Path) -> int:
    import difflib

    left, right = digest(old), digest(new)
    parts = {name.split("/")[0] for name in right}
    unequal = 0
    for name in sorted(left.keys() | right.keys()):
        if name.split("/")[0] not in parts:
            continue
        a, b = left.get(name), right.get(name)
        if a != b:
            unequal += 1
            print(f"-- {name}: {'only old' if b is None else 'only new' if a is None else 'differs'}")
            if a and b:
                lines = difflib.unified_diff(a.splitlines(), b.splitlines(), lineterm="", n=0)
                print("\n".join(line[:400] for line in list(lines)[:40]))
    print(f"{len(right)} files compared, {unequal} unequal")
    return int(unequal > 0)


def _normal(text: str) -> str:
    text = re.sub(r"/\S*?/pytest-\d+/[^\s'\"/]*", "TMP", text)
    text = re.sub(r"/\S*/(local|verl)/(\w+)/run", r"RUNS/\1/\2/run", text).replace(str(ROOT), "ROOT")
    text = re.sub(r"/tmp/tmp\w+", "TMP", text)
    text = re.sub(r"\b\d+(\.\d+)? ?(s|min|seconds)\b", "TIME", text)
    text = re.sub(r"\b\d+:\d\d(:\d\d)?\b", "TIME", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    return re.sub(r"(\d+(\.\d+)?) G(i)?B free", "GB free", text)


# ---------------------------------------------------------------------- the plug-in of record_refusals


def pytest_configure() -> None:
    path = os.environ.get("ZPPO_GOLDEN_HEARD")
    if not path:
        return
    from recipe.zppo.errors import ZPPOError

    init = ZPPOError.__init__

    def heard(self: ZPPOError, *args: object) -> None:
        init(self, *args)
        with open(path, "a") as out:
            out.write(f"{type(self).__name__}: {args[0] if args else ''}".replace("\n", "\\n") + "\n")

    ZPPOError.__init__ = heard


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.golden", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    record = commands.add_parser("record")
    record.add_argument("out", type=Path)
    record.add_argument("parts", nargs="*")
    record.add_argument("--world", type=Path, required=True)
    record.add_argument("--methods", default=",".join(METHODS))
    again = commands.add_parser("resume")
    again.add_argument("old", type=Path)
    again.add_argument("out", type=Path)
    again.add_argument("--world", type=Path, required=True)
    two = commands.add_parser("compare")
    two.add_argument("old", type=Path)
    two.add_argument("new", type=Path)
    args = parser.parse_args()
    if args.command == "compare":
        return compare(args.old, args.new)
    args.world = args.world.absolute()
    sys.path.insert(0, str(ROOT))
    os.environ["ZPPO_GOLDEN_WORLD"] = str(args.world)
    if args.command == "resume":
        resume(args.old, args.out, args.world)
        return 0
    methods = tuple(args.methods.split(","))
    for part in args.parts or PARTS:
        out = args.out / part
        out.mkdir(parents=True, exist_ok=True)
        print("==", part, flush=True)
        match part:
            case "configs":
                record_configs(out)
            case "refusals":
                record_refusals(out)
            case "local":
                record_local(out, args.world, methods)
            case "verl":
                record_verl(out, args.world, methods)
            case "commands":
                record_commands(out, args.out / "local")
            case "resume":
                record_resume(out, args.world)
    return 0


if __name__ == "__main__":
    sys.exit(main())
