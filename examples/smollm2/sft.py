r"""Supervised fine-tuning on worked answers: ``python examples/smollm2/sft.py --model IN --data FILE --out OUT``.

The loss is on the response only. Plain torch in one process, on a GPU if there is one, else on the CPU. Arithmetic is
in bfloat16, which on CPUs with AMX is several times as fast; weights and optimiser state are kept in fp32 beside it. A
run that was stopped goes on from its last state (see `--save-seconds`) when the same command is given again; a finished
one is left as it is.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from torch.nn import functional as F

from recipe.zppo.errors import ZPPOError
from recipe.zppo.local.master_weights import MasterWeights
from recipe.zppo.randomness import generator
from recipe.zppo.run.files import write_atomically

STATE = "sft_state.pt"
Example = tuple[list[int], list[int]]
"""Tokens of the prompt, with the header of the answer, and of the response, with its end token."""


class SFTError(ZPPOError, ValueError):
    """Data or a saved state that this run cannot use."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """What defines a run beside model and data; a saved state of another one is refused."""

    seed: int
    rows: int
    epochs: int
    batch_size: int
    lr: float
    warmup: int

    @property
    def steps(self) -> int:
        return max(1, self.epochs * self.rows // self.batch_size)

    def lr_share(self, step: int) -> float:
        """Linear warm-up, then linearly down to a tenth; `step` counts from 0."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        return 1 - 0.9 * (step - self.warmup) / max(1, self.steps - self.warmup)

    def batch(self, step: int) -> list[int]:
        """The rows of a step: epochs one after the other, each in an order of its own."""
        start = step * self.batch_size
        return [self._order(i // self.rows)[i % self.rows] for i in range(start, start + self.batch_size)]

    def _order(self, epoch: int) -> list[int]:
        order = list(range(self.rows))
        generator(self.seed, "sft epoch", epoch).shuffle(order)
        return order


def load_examples(file: Path, tokenizer: Any, limit: int | None) -> list[Example]:
    """
    Raises:
        SFTError: the file is missing, or has no conversations in a column `messages`.
    """
    if not file.is_file():
        raise SFTError(f"--data: {file} does not exist")
    if "messages" not in pq.read_schema(file).names:
        raise SFTError(
            f"--data: {file} has no column 'messages'; make it with python -m recipe.zppo.data.reasoning_gym --sft"
        )
    conversations = pq.read_table(file, columns=["messages"]).column("messages").to_pylist()[:limit]
    if not conversations:
        raise SFTError(f"--data: {file} has no rows")
    return [encode(messages, tokenizer) for messages in conversations]


def encode(messages: list[dict[str, str]], tokenizer: Any) -> Example:
    """The prompt exactly as the rollout servers see it, and the answer up to the end-of-turn token."""
    *context, answer = messages
    prompt = tokenizer.apply_chat_template(context, add_generation_prompt=True, return_dict=False)
    response = tokenizer(answer["content"], add_special_tokens=False)["input_ids"]
    return list(prompt), [*response, tokenizer.eos_token_id]


def padded(examples: Sequence[Example], pad_id: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Input ids (B, T), padded on the right, where a causal mask makes it harmless; which of their positions predict a
    response token (B, T); those N tokens."""
    width = max(len(prompt) + len(response) for prompt, response in examples)
    ids = torch.full((len(examples), width), pad_id)
    predicts = torch.zeros(ids.shape, dtype=torch.bool)
    for row, (prompt, response) in enumerate(examples):
        end = len(prompt) + len(response)
        ids[row, :end] = torch.tensor([*prompt, *response])
        predicts[row, len(prompt) - 1 : end - 1] = True
    return ids, predicts, ids[:, 1:][predicts[:, :-1]]


def chunks(examples: Sequence[Example], size: int) -> Iterator[list[Example]]:
    """Examples of about one length together, at most `size` of them."""
    ordered = sorted(examples, key=lambda example: len(example[0]) + len(example[1]))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def add_gradient(model: Any, examples: Sequence[Example], pad_id: int, micro_batch: int) -> float:
    """Adds the gradient of the mean loss over the batch's response tokens; returns that loss."""
    device = next(model.parameters()).device
    num_tokens = sum(len(response) for _, response in examples)
    total = 0.0
    for chunk in chunks(examples, micro_batch):
        ids, predicts, targets = (tensor.to(device) for tensor in padded(chunk, pad_id))
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        logits = model.get_output_embeddings()(hidden[predicts])
        loss = F.cross_entropy(logits.float(), targets, reduction="sum") / num_tokens
        loss.backward()
        total += loss.item()
    return total


def train(
    model: Any, examples: list[Example], schedule: Schedule, out: Path, *, pad_id: int, options: argparse.Namespace
) -> None:
    """All steps, from the state in `out` if there is one; `model` has fp32 weights, before and after."""
    model.train()
    if not options.fp32:
        model.bfloat16()
    master = MasterWeights(model)
    decayed, others = [w for w in master.weights if w.ndim > 1], [w for w in master.weights if w.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=schedule.lr, betas=(0.9, 0.98))
    first = _load_state(out / STATE, master, optimizer, schedule)
    started = saved = time.monotonic()
    log = (out / "sft.jsonl").open("a")
    for step in range(first, schedule.steps):
        batch = [examples[i] for i in schedule.batch(step)]
        loss = add_gradient(model, batch, pad_id, options.micro_batch)
        master.take_gradients()
        torch.nn.utils.clip_grad_norm_(master.weights, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = schedule.lr * schedule.lr_share(step)
        optimizer.step()
        optimizer.zero_grad()
        master.give_to_model()
        seconds = (time.monotonic() - started) / (step + 1 - first)
        left = seconds * (schedule.steps - step - 1)
        log.write(json.dumps({"step": step + 1, "loss": round(loss, 4), "seconds_per_step": round(seconds, 2)}) + "\n")
        log.flush()
        print(
            f"{out}: step {step + 1}/{schedule.steps}, loss {loss:.3f}, {seconds:.1f} s a step, {left:.0f} s left",
            flush=True,
        )
        if time.monotonic() - saved > options.save_seconds:
            _save_state(out / STATE, master, optimizer, schedule, step + 1)
            saved = time.monotonic()
    log.close()
    model.float()
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), master.weights, strict=True):
            parameter.copy_(weight)


def _save_state(
    path: Path, master: MasterWeights, optimizer: torch.optim.Optimizer, schedule: Schedule, step: int
) -> None:
    state = {"step": step, "weights": master.state(), "optimizer": optimizer.state_dict()}
    state["schedule"] = dataclasses.asdict(schedule)
    write_atomically(str(path), lambda temporary: torch.save(state, temporary))


def _load_state(path: Path, master: MasterWeights, optimizer: torch.optim.Optimizer, schedule: Schedule) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=False, map_location="cpu")
    if state["schedule"] != dataclasses.asdict(schedule):
        raise SFTError(f"{path} is of a run with other settings, {state['schedule']}; remove it, or name another --out")
    master.load_state(state["weights"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, help="first rows only")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--micro-batch", type=int, default=16, help="sequences of one forward pass")
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--warmup", type=int, default=5, help="steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fp32", action="store_true", help="no bfloat16 arithmetic")
    parser.add_argument("--threads", type=int, help="of the CPU")
    parser.add_argument("--save-seconds", type=float, default=300)
    options = parser.parse_args(arguments)
    if (options.out / "config.json").is_file():
        print(f"{options.out}: there already")
        return 0
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    try:
        tokenizer = AutoTokenizer.from_pretrained(options.model)
        examples = load_examples(options.data, tokenizer, options.rows)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32, attn_implementation="sdpa")
        generation_config = model.generation_config
        model.to(device)
        schedule = Schedule(options.seed, len(examples), options.epochs, options.batch_size, options.lr, options.warmup)
        options.out.mkdir(parents=True, exist_ok=True)
        train(model, examples, schedule, options.out, pad_id=tokenizer.pad_token_id, options=options)
    except ZPPOError as error:
        print(f"zppo: {error}", file=sys.stderr)
        return 2
    model.generation_config = generation_config
    tokenizer.save_pretrained(options.out)
    publish(model.cpu().eval(), options.out)
    (options.out / STATE).unlink(missing_ok=True)
    return 0


def publish(model: Any, out: Path) -> None:
    """The model's files, config.json last: its being there means that the folder is complete."""
    model.save_pretrained(out / "writing")
    for file in sorted((out / "writing").iterdir(), key=lambda file: file.name == "config.json"):
        file.replace(out / file.name)
    (out / "writing").rmdir()


if __name__ == "__main__":
    sys.exit(main())
