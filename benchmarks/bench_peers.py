r"""The local back end's GRPO step beside TRL's, in one run: `python -m benchmarks.bench_peers [--shape smollm2]`.

Both start from the same random weights, and have the same prompts, number of rollouts, lengths, updates a step,
precision (fp32) and threads. They take turns, each time in a new process. TRL is installed into an environment of its
own (``--venv``) at the first run; that needs a package registry and some minutes.

The first step of a process is not counted. What is printed: seconds a step (median), peak memory of the process, TRL's
over ours, and ZPPO's step over GRPO†'s.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

PEER = ("trl==1.16.0", "accelerate", "datasets")
TEMPLATE = "{% for message in messages %}{{ message.content }} {% endfor %}"
SHAPES: dict[str, dict[str, int]] = {
    "smollm2": {
        **{"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30},
        **{"num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49_152},
    },
    "embedded": {  # the student of the embedded world
        **{"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 4, "head_dim": 32},
        **{"num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 158},
    },
}
LOADS = {
    "smollm2": {"questions": 4, "prompt": 150, "response": 32},
    "embedded": {"questions": 16, "prompt": 24, "response": 24},
}
"""Questions of a step, and tokens."""


@dataclass(kw_only=True)
class Side:
    """One trainer's numbers over all turns."""

    name: str
    steps: list[float] = field(default_factory=list)
    peak_gb: float = 0.0


def build(folder: Path, shape: dict[str, int]) -> None:
    """A random model of `shape` whose tokens are words, in transformers' form."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(tie_word_embeddings=True, eos_token_id=1, pad_token_id=0, **shape)
    LlamaForCausalLM(config).save_pretrained(folder)
    vocabulary = {"<pad>": 0, "<eos>": 1, **{f"w{i}": i for i in range(2, shape["vocab_size"])}}
    words = Tokenizer(models.WordLevel(vocabulary, "<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)


def prompts(count: int, length: int, words: int) -> list[str]:
    rng = random.Random(0)
    return [" ".join(f"w{rng.randrange(2, words)}" for _ in range(length)) for _ in range(count)]


def peer_python(venv: Path) -> Path:
    """Python of the peer's environment, which is made where it is not there; with our torch and transformers."""
    python = venv / "bin" / "python"
    if not (venv / "installed").exists():
        import torch
        import transformers

        own = [f"torch=={torch.__version__.partition('+')[0]}", f"transformers=={transformers.__version__}"]
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *own, *PEER], check=True)
        (venv / "installed").touch()
    return python


def run(command: list[str], folder: Path, side: Side) -> str:
    """Its stdout; peak memory goes to `side`."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with open(folder / f"{side.name}.out", "w+", encoding="utf-8") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read()
    if process.returncode:
        raise SystemExit(f"{side.name} ended with status {process.returncode}:\n{said[-3000:]}")
    side.peak_gb = max(side.peak_gb, usage.ru_maxrss / 2**20)
    return said


OURS = {
    "GRPO, rollouts": ("method=grpo", "zppo.mini_batches=rollouts"),
    "GRPO, groups": ("method=grpo", "zppo.mini_batches=groups"),
    "GRPO†, groups": ("method=grpo_replay", "zppo.mini_batches=groups"),
    "ZPPO, groups": (
        "method=zppo",
        "zppo.mini_batches=groups",
        "zppo.compression.mode=truncate",
        "zppo.reformulation.max_candidate_tokens=64",
    ),
}
"""What is timed of ours; ZPPO's teacher is another copy of the model."""


def ours(folder: Path, request: dict[str, Any], settings: Sequence[str]) -> list[str]:
    """The command of a run of `recipe.zppo.local` on the request's questions."""
    reward = folder / "reward.py"
    reward.write_text(
        "import zlib\n\n\ndef compute_score(data_source, solution_str, ground_truth, extra_info=None):\n"
        "    return float(zlib.crc32(solution_str.encode()) % 2)\n"
    )
    rows = [
        {"prompt": [{"role": "user", "content": text}], "reward_model": {"ground_truth": "1"}}
        for text in request["prompts"]
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    pq.write_table(pa.Table.from_pylist(rows[:1]), folder / "val.parquet")
    return [
        *(sys.executable, "-m", "recipe.zppo.local", "platform=cpu", *settings),
        *(f"zppo.teacher.path={request['model']}", "zppo.teacher.inference.max_model_len=2048"),
        *(f"data.train_files={folder}/train.parquet", f"data.val_files={folder}/val.parquet"),
        *(f"data.train_batch_size={request['questions']}", "data.max_prompt_length=512", "zppo.answer.closer=''"),
        *(f"data.max_response_length={request['response']}", "actor_rollout_ref.rollout.max_model_len=2048"),
        *(f"actor_rollout_ref.model.path={request['model']}", f"actor_rollout_ref.rollout.n={request['group_size']}"),
        *(f"reward.custom_reward_function.path={reward}", f"zppo.updates_per_step={request['updates']}"),
        *(f"trainer.total_training_steps={request['steps']}", "trainer.test_freq=-1"),
        *("trainer.val_before_train=false", "trainer.save_freq=-1", "zppo.export.hf_model=false"),
        *("trainer.logger=[]", f"trainer.default_local_dir={folder}/run", "trainer.resume_mode=disable"),
        "trainer.total_epochs=1000",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", default="smollm2", choices=SHAPES)
    parser.add_argument("--questions", type=int, help="of a step")
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--prompt", type=int, help="tokens")
    parser.add_argument("--response", type=int, help="tokens")
    parser.add_argument("--updates", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3, help="of a process, the first of which does not count")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--venv", type=Path, default=Path("~/.cache/zppo/peer-trl-1.16.0").expanduser())
    parser.add_argument("--without-peer", action="store_true", help="time ours only")
    options = parser.parse_args()
    for name, value in LOADS[options.shape].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    sides = {name: Side(name=name) for name in ("TRL", *OURS)}
    if options.without_peer:
        del sides["TRL"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build(folder / "model", SHAPES[options.shape])
        texts = prompts(options.questions * options.steps, options.prompt, SHAPES[options.shape]["vocab_size"])
        request = {name: getattr(options, name) for name in ("questions", "group_size", "response", "updates", "steps")}
        request |= {"model": str(folder / "model"), "prompts": texts, "threads": 1}
        (folder / "request.json").write_text(json.dumps(request))
        for _ in range(options.turns):
            for name, side in sides.items():
                if name == "TRL":
                    script = Path(__file__).with_name("peer_trl.py")
                    said = run([str(peer_python(options.venv)), str(script), f"{folder}/request.json"], folder, side)
                    side.steps += json.loads(said.splitlines()[-1])[1:]
                    continue
                (folder / "run" / "metrics.jsonl").unlink(missing_ok=True)
                run(ours(folder, request, OURS[name]), folder, side)
                lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
                side.steps += [json.loads(line)["timing_s/step"] for line in lines][1:]
    for side in sides.values():
        ratios = ""
        if side.name == "ZPPO, groups":
            times = statistics.median(side.steps) / statistics.median(sides["GRPO†, groups"].steps)
            ratios = f"; {times:.2f} times a step of GRPO†"
        elif side.name != "TRL" and "TRL" in sides:
            peer = sides["TRL"]
            times = statistics.median(peer.steps) / statistics.median(side.steps)
            ratios = f"; TRL takes {times:.2f} times as long, and {peer.peak_gb / side.peak_gb:.2f} times the memory"
        print(f"{side.name}: {statistics.median(side.steps):.2f} s a step, peak {side.peak_gb:.2f} GB{ratios}")


if __name__ == "__main__":
    main()
