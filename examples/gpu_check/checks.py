"""The checks of `gpu_check.py`, one a process: ``python checks.py NAME --device cuda --seconds 120 --work FOLDER``."""

import argparse
import json
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "smollm2")]
from stand_ins import stand_in  # noqa: E402

METHODS = (
    *("zppo", "grpo", "grpo_replay", "grpo_both", "grpo_replay_bcq", "grpo_replay_ncq", "hint", "prefix"),
    *("off_distill", "off_distill_replay", "on_distill", "on_distill_replay"),
)
PLATFORMS = {"cuda": "local_gpu", "cpu": "cpu"}

# Log-probs in nats, chosen beforehand: (largest mean, largest) difference over tokens.
TOLERANCES = {"float32": (1e-4, 1e-2), "bfloat16": (0.05, 2.0)}

Figures = dict[str, Any]
SPEED = "speed.json"


def world_folder(work: Path) -> Path:
    """The embedded world: of the bundles, or the user's own, built where there is none."""
    from recipe.zppo.world.build import build_world
    from recipe.zppo.world.paths import default_path
    from recipe.zppo.world.settings import WorldSettings

    if (work / "world").is_dir():
        return work / "world"
    settings = WorldSettings()
    return build_world(default_path(settings.seed, settings.difficulty), settings=settings).root


def smollm2(work: Path) -> Path:
    """SmolLM2-135M-Instruct as a folder, from the bundled file, the package or the hub's cache."""
    import weights

    given = work / "weights" / "smollm2.gguf"
    if weights.main([str(work / "base"), *(["--from", str(given)] if given.is_file() else [])]):
        raise RuntimeError("there are no weights of SmolLM2: see above")
    return work / "base"


# Parity


def parity(device: str, work: Path, seconds: float, large: bool) -> Iterator[Figures]:
    """Log-probs of the same tokens on the CPU in fp32 and on the device in both precisions, and those that sampling
    wrote down beside those of a whole forward pass."""
    without = (work / "about.json").is_file() and not (work / "weights").is_dir()  # bundles.py --without-weights
    folder = smollm2(work) if large and not without else world_folder(work) / "student"
    figures, worst = compare(folder, device), []
    for name, (mean, largest) in figures.items():
        limits = TOLERANCES["bfloat16" if "bfloat16" in name else "float32"]
        worst.append(mean <= limits[0] and largest <= limits[1])
    said = ", ".join(f"{name} {mean:.1e}" for name, (mean, _) in figures.items())
    of = "of the world's student, as there are no weights, " if large and without else ""
    yield {"passed": all(worst), "said": f"mean difference {of}in nats: {said}", "differences": figures}


def compare(folder: Path, device: str) -> dict[str, tuple[float, float]]:
    """(mean, largest) absolute difference by what is compared."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from recipe.cpu.hf_generator import HFGenerator
    from recipe.cpu.hf_sampling import SamplingParams

    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = [[{"role": "user", "content": f"What is {i} + {j}?"}] for i, j in ((1, 2), (34, 5), (6, 789))]
    prompts = [tokenizer.apply_chat_template(m, add_generation_prompt=True, return_dict=False) for m in asked]
    params = [SamplingParams(1.0, 1.0, 0, 32, seed=seed, logprobs=True) for seed in range(4)]
    found: dict[str, tuple[float, float]] = {}
    tokens: list[tuple[list[int], list[int]]] = []
    reference: list[float] = []
    for place, dtype in (("cpu", "float32"), (device, "float32"), (device, "bfloat16")):
        if place == "cpu" and tokens and dtype == "float32":
            continue  # --device cpu
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), attn_implementation="sdpa"
        ).to(place)
        generator = HFGenerator(model, tokenizer, max_model_len=1024)
        requests = [generator.request(prompt, each) for prompt in prompts for each in params]
        responses = generator.generate(requests)
        own = [
            (list(request.prompt_ids), response.token_ids)
            for request, response in zip(requests, responses, strict=True)
        ]
        drawn = [value for response in responses for value in response.log_probs or ()]
        found[f"{place} {dtype} sampled and scored"] = _distance(drawn, _scores(model, own))
        if tokens:
            found[f"{place} {dtype} and cpu float32"] = _distance(_scores(model, tokens), reference)
        else:
            tokens, reference = own, _scores(model, own)
    return found


def _scores(model: Any, rows: list[tuple[list[int], list[int]]]) -> list[float]:
    import torch

    values: list[float] = []
    with torch.inference_mode():
        for prompt, response in rows:
            ids = torch.tensor([prompt + response], device=model.device)
            log_probs = model(ids).logits[0].float().log_softmax(-1)[len(prompt) - 1 : -1]
            values += log_probs.gather(-1, ids[0, len(prompt) :, None])[:, 0].tolist()
    return values


def _distance(some: list[float], others: list[float]) -> tuple[float, float]:
    apart = [abs(a - b) for a, b in zip(some, others, strict=True)]
    return sum(apart) / len(apart), max(apart)


# Training


def train(device: str, folder: Path, *overrides: str) -> list[dict[str, Any]]:
    """The metrics of a run's steps. Raises RuntimeError if it was refused or failed; its output says why."""
    from recipe.zppo.config.compose import compose
    from recipe.zppo.local.run import launch

    config = compose(
        [
            f"platform={PLATFORMS[device]}",
            f"trainer.default_local_dir={folder}",
            *("trainer.save_freq=-1", "trainer.test_freq=-1", "trainer.val_before_train=false"),
            *("zppo.export.hf_model=false", "trainer.logger=[console]", "trainer.total_epochs=100"),
            *overrides,
        ]
    )
    if status := launch(config):
        raise RuntimeError(f"{folder.name}: the run ended with status {status}")
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def in_world(world: Path, *overrides: str) -> list[str]:
    return [
        *(f"data.train_files={world}/train.parquet", f"data.val_files={world}/val.parquet"),
        *(f"actor_rollout_ref.model.path={world}/student", f"zppo.teacher.path={world}/teacher"),
        *("preset=tiny", "data.train_batch_size=8", "data.train_max_samples=256", "data.val_max_samples=64"),
        *("actor_rollout_ref.rollout.n=4", "zppo.teacher.n_rollouts=2", "actor_rollout_ref.actor.optim.lr=1.5e-4"),
        *("zppo.replay.fraction=0.5", "zppo.reformulation.fraction=0.5"),
        *overrides,
    ]


def methods(
    device: str, work: Path, seconds: float, large: bool, names: tuple[str, ...] = METHODS
) -> Iterator[Figures]:
    """One step of each; a method that fails does not stop the others."""
    world, done, failed = world_folder(work), {}, {}
    for name in names:
        started = time.monotonic()
        try:
            (row,) = train(
                device, work / f"method-{name}", *in_world(world, f"method={name}", "trainer.total_training_steps=1")
            )
            if not math.isfinite(row["actor/grad_norm"]):
                raise RuntimeError("the gradient is not finite")
            done[name] = round(time.monotonic() - started, 1)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            print(f"{name}: {error!r}", file=sys.stderr)
        said = f"{len(done)} of {len(names)} methods stepped{''.join(f'; {n}: {why}' for n, why in failed.items())}"
        passed = not failed and len(done) == len(names)
        yield {"passed": passed, "said": said, "seconds": done, "failed": failed}


def task(work: Path, large: bool) -> list[str]:
    """Overrides of the run that is timed and compared: SmolLM2, or on the CPU, where that takes hours, the world."""
    if not large:
        return in_world(world_folder(work))
    import questions
    import sft

    base, data = smollm2(work), work / "data"
    if not (data / "sft.parquet").exists():
        questions.write(data, train=4000, val=256, sft=4096)
    for name, taken in (("student", 288), ("teacher", 4096)):
        made = sft.main(
            [
                *("--model", str(base), "--data", str(data / "sft.parquet"), "--out", str(work / name)),
                *("--rows", str(taken), "--lr", "2e-4", "--warmup", "4"),
            ]
        )
        if made:
            raise RuntimeError(f"the {name} could not be fine-tuned: see above")
    return [
        *(f"data.train_files={data}/train.parquet", f"data.val_files={data}/val.parquet"),
        *("data.max_prompt_length=192", "data.max_response_length=96", "data.train_batch_size=16"),
        *(f"actor_rollout_ref.model.path={work}/student", f"zppo.teacher.path={work}/teacher"),
        *("actor_rollout_ref.rollout.n=8", "actor_rollout_ref.rollout.max_model_len=1536", "zppo.teacher.n_rollouts=2"),
        *("actor_rollout_ref.actor.optim.lr=1e-5", "zppo.compression.mode=truncate", "zppo.compression.max_tokens=96"),
        *("zppo.reformulation.max_candidate_tokens=96", "zppo.replay.capacity=200", "zppo.replay.fraction=0.25"),
        *("zppo.reformulation.fraction=0.25", "zppo.validation.presence_penalty=0.0"),
    ]


def peak_gb(device: str) -> float:
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


RIVALS = ("zppo", "grpo_replay")


def speed(device: str, work: Path, seconds: float, large: bool) -> Iterator[Figures]:
    """Seconds of a step, of its generation and its update: the medians of the steps after the first."""
    import torch

    common, figures = task(work, large), {}
    for name in RIVALS:
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        rows = train(device, work / f"speed-{name}", *common, f"method={name}", "trainer.total_training_steps=4")
        timed = {
            key: sorted(row[key] for row in rows[1:])[1]
            for key in ("timing_s/step", "timing_s/gen", "timing_s/update_actor")
        }
        figures[name] = {**timed, "peak_gb": round(peak_gb(device), 2)}
        (work / SPEED).write_text(json.dumps(figures))
        parts = "; ".join(
            f"{n} {f['timing_s/step']:.2f} s a step (generation {f['timing_s/gen']:.2f}, updates "
            f"{f['timing_s/update_actor']:.2f}), at most {f['peak_gb']} GB"
            for n, f in figures.items()
        )
        yield {"passed": len(figures) == len(RIVALS), "said": parts, "runs": figures}


def learning(device: str, work: Path, seconds: float, large: bool) -> Iterator[Figures]:
    """Held-out accuracy before and after as many steps as both methods have time for, the same number for both."""
    started, common = time.monotonic(), task(work, large)
    measured = json.loads((work / SPEED).read_text())
    each = sum(figures["timing_s/step"] for figures in measured.values())
    left = seconds - (time.monotonic() - started) - (60 if large else 10)  # loading and validation
    steps = max(2, min(150, int(0.8 * left / each)))
    figures: Figures = {}
    for name in RIVALS:
        at = [f"method={name}", f"trainer.total_training_steps={steps}", f"trainer.test_freq={steps}"]
        rows = train(device, work / f"learning-{name}", *common, *at, "trainer.val_before_train=true")
        keys = [key for key in rows[-1] if key.startswith("val-core/")]
        accuracy = [sum(row[key] for key in keys) / len(keys) for row in (rows[0], rows[-1])]
        figures[name] = {
            "steps": steps,
            "accuracy_before": accuracy[0],
            "accuracy_after": accuracy[1],
            "seconds": sum(row.get("timing_s/step", 0.0) for row in rows),
            "buffer": {k: v for k, v in rows[-1].items() if k.startswith("zppo/buffer/")},
        }
        parts = "; ".join(
            f"{n} {f['accuracy_before']:.1%} to {f['accuracy_after']:.1%} in {f['seconds']:.0f} s"
            for n, f in figures.items()
        )
        yield {"passed": len(figures) == len(RIVALS), "said": f"{steps} steps: {parts}", "runs": figures}


CHECKS: dict[str, Callable[[str, Path, float, bool], Iterator[Figures]]] = {
    "parity": parity,
    "methods": methods,
    "speed": speed,
    "learning": learning,
}


def main() -> int:
    from gpu_check import MARK, NO_GPU

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=CHECKS)
    parser.add_argument("--device", choices=PLATFORMS, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--smollm2", action="store_true")
    options = parser.parse_args()
    stand_in()
    import torch

    if options.device == "cuda":
        if not torch.cuda.is_available():
            print(f"PyTorch {torch.__version__} sees no GPU; --device cpu tries the same on the CPU, at a small scale")
            return NO_GPU
        print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    figures: Figures = {}
    large = options.device == "cuda" or options.smollm2
    for figures in CHECKS[options.name](options.device, options.work, options.seconds, large):
        print(MARK + json.dumps(figures), flush=True)  # so far: what is cut has shown what it found
    return 0 if figures.get("passed") else 1


if __name__ == "__main__":
    sys.exit(main())
