"""Measures a world at temperature 1: ``python -m recipe.zppo.world.evaluate [world] [--student PATH] [--split val]``.

The visit of a question is Algorithm 1's, without the caps: eight plain student samples; four teacher samples of a
question with less than half of them right; BCQ and NCQ with candidates that the teacher has compressed; and for the
Hint baseline a hint that the teacher writes from its first right sample.
"""

import argparse
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

import pandas as pd
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from recipe.zppo.prompts import (
    Messages,
    bcq_messages,
    compression_messages,
    hint_request_messages,
    hinted_messages,
    ncq_messages,
    with_closer,
)
from recipe.zppo.world.encoding import Encoder
from recipe.zppo.world.paths import WorldPaths, default_path
from recipe.zppo.world.sampling import sample

GROUP_SIZE = 8
TEACHER_GROUP_SIZE = 4
HARD_BELOW = 0.5

_BOX = re.compile(r"\\boxed\{([^{}]*)\}")
_NUMBER = re.compile(r"\d+")
_SUMMARY = re.compile(r"<summary>(.*)</summary>", re.DOTALL)


def boxed_answer(text: str) -> str | None:
    found = _BOX.findall(text)
    return found[-1] if found else None


def inner_summary(text: str) -> str | None:
    found = _SUMMARY.search(text)
    return found.group(1).strip() if found else None


def is_valid_hint(hint: str, answer: str) -> bool:
    """Whether it says something, and neither holds a box nor names the answer."""
    return bool(hint.strip()) and "\\boxed" not in hint and answer not in _NUMBER.findall(hint)


class Sampler:
    """Samples text from a model with a seeded generator of its own."""

    max_rows = 512
    """Responses that are sampled at a time."""

    def __init__(self, model: PreTrainedModel, encoder: Encoder, seed: int = 0):
        self.model, self.encoder = model.eval(), encoder
        self.generator = torch.Generator().manual_seed(seed)

    @classmethod
    def load(cls, path: Path, seed: int = 0) -> "Sampler":
        show_bars = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
        finally:
            if show_bars:
                logging.enable_progress_bar()
        return cls(model, Encoder(AutoTokenizer.from_pretrained(path)), seed)

    def __call__(self, conversations: Sequence[Messages], num_samples: int) -> list[list[str]]:
        """`num_samples` responses to each conversation."""
        tokenizer = self.encoder.tokenizer
        groups = sample(
            self.model,
            [self.encoder.prompt_ids(messages) for messages in conversations],
            num_samples,
            inputs=lambda ids, chosen: self.inputs(ids, [conversations[i] for i in chosen]),
            eos_id=tokenizer.eos_token_id,
            generator=self.generator,
            max_rows=self.max_rows,
        )
        return [tokenizer.batch_decode(group, skip_special_tokens=True) for group in groups]

    def inputs(self, ids: torch.Tensor, conversations: list[Messages]) -> dict[str, torch.Tensor]:
        return self.encoder.inputs(ids, conversations)


def load_questions(path: Path, limit: int | None = None) -> tuple[list[Messages], list[str]]:
    """Questions without closer, and their right answers, from a data file."""
    frame = pd.read_parquet(path).head(limit)
    questions = [[dict(message) for message in prompt] for prompt in frame["prompt"]]
    return questions, [reward["ground_truth"] for reward in frame["reward_model"]]


def plain_outcomes(student: Sampler, questions: list[Messages], answers: list[str], n: int = GROUP_SIZE) -> list[float]:
    """Share of `n` plain samples that are right, for each question."""
    groups = student([with_closer(question) for question in questions], n)
    return [_accuracy(group, answer) for group, answer in zip(groups, answers, strict=True)]


def measure(student: Sampler, teacher: Sampler, questions: list[Messages], answers: list[str]) -> dict[str, float]:
    """The figures that say whether ZPPO has something to do here; shares and accuracies in 0..1.

    `compression_exact` is the share of candidates whose summary is the response without its think tags, `hint_valid`
    that of the teacher's hints that give the answer away by neither a box nor its number; the others are not shown.
    """
    figures, right = visit(student, teacher, questions, answers)
    written = teacher([hint_request_messages(text) for text in right.values()], 1)
    hints = dict(zip(right, (group[0] for group in written), strict=True))
    valid = {i: hint for i, hint in hints.items() if is_valid_hint(hint, answers[i])}
    hint_groups = student([with_closer(hinted_messages(questions[i], hint)) for i, hint in valid.items()], GROUP_SIZE)
    return {
        **figures,
        "hard_hint_accuracy": _mean(_accuracy(g, answers[i]) for i, g in zip(valid, hint_groups, strict=True)),
        "hint_valid": len(valid) / max(1, len(hints)),
    }


def visit(
    student: Sampler, teacher: Sampler, questions: list[Messages], answers: list[str]
) -> tuple[dict[str, float], dict[int, str]]:
    """Visits each question with plain samples, the hard ones with BCQ and NCQ.

    Returns the figures, and a right teacher response to each hard question that the teacher solved.
    """
    plain_groups = student([with_closer(question) for question in questions], GROUP_SIZE)
    accuracy = [_accuracy(group, answer) for group, answer in zip(plain_groups, answers, strict=True)]
    hard = [i for i, value in enumerate(accuracy) if value < HARD_BELOW]
    all_wrong = [i for i in hard if accuracy[i] == 0]
    teacher_groups = teacher([with_closer(questions[i]) for i in hard], TEACHER_GROUP_SIZE)
    right = {
        i: next(text for text in group if boxed_answer(text) == answers[i])
        for i, group in zip(hard, teacher_groups, strict=True)
        if _accuracy(group, answers[i]) > 0
    }

    wrong_texts = {i: [text for text in plain_groups[i] if boxed_answer(text) != answers[i]] for i in hard}
    raw = [text for i in hard for text in (*wrong_texts[i], *([right[i]] if i in right else []))]
    summaries = [inner_summary(group[0]) for group in teacher([compression_messages(text) for text in raw], 1)]
    without_tags = [text.replace("<think>", "").replace("</think>", "") for text in raw]
    compressed = {text: summary or short for text, summary, short in zip(raw, summaries, without_tags, strict=True)}

    bcq, ncq = [], []
    for position, i in enumerate(hard):
        candidates = [compressed[text] for text in wrong_texts[i]]
        ncq.append(with_closer(ncq_messages(questions[i], [boxed_answer(t) for t in wrong_texts[i]], candidates)))
        if i in right:
            pair = [compressed[right[i]], candidates[0]]
            bcq.append((i, with_closer(bcq_messages(questions[i], *(pair if position % 2 else pair[::-1])))))
    bcq_groups = student([messages for _, messages in bcq], GROUP_SIZE)
    ncq_groups = student(ncq, GROUP_SIZE)
    figures = {
        "plain_accuracy": fmean(accuracy),
        "hard_share": len(hard) / len(questions),
        "all_wrong_share": len(all_wrong) / len(questions),
        "teacher_solves_all_wrong": _mean(i in right for i in all_wrong),
        "hard_plain_accuracy": _mean(accuracy[i] for i in hard),
        "hard_bcq_accuracy": _mean(_accuracy(g, answers[i]) for (i, _), g in zip(bcq, bcq_groups, strict=True)),
        "hard_ncq_accuracy": _mean(_accuracy(g, answers[i]) for i, g in zip(hard, ncq_groups, strict=True)),
        "compression_exact": _mean(s == short for s, short in zip(summaries, without_tags, strict=True)),
    }
    return figures, right


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside: for models this small more threads wait for each other, badly so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure_world(paths: WorldPaths, limit: int) -> dict[str, float]:
    """:func:`measure` on the first `limit` training questions, and both models' plain accuracy on the others."""
    with one_thread():
        student, teacher = Sampler.load(paths.student), Sampler.load(paths.teacher)
        measured = measure(student, teacher, *load_questions(paths.train_file, limit))
        for split in ("val", "shifted"):
            questions = load_questions(paths.file(split), limit)
            measured[f"{split}_plain_accuracy"] = fmean(plain_outcomes(student, *questions))
            measured[f"{split}_teacher_accuracy"] = fmean(plain_outcomes(teacher, *questions, TEACHER_GROUP_SIZE))
    return {name: round(value, 4) for name, value in measured.items()}


def _accuracy(texts: Sequence[str], answer: str) -> float:
    return fmean(boxed_answer(text) == answer for text in texts)


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return fmean(values) if values else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path, nargs="?", help="folder of a finished world (default: the cached firm one)")
    parser.add_argument("--student", type=Path, help="another student, for instance one trained on this world")
    parser.add_argument("--split", choices=("train", "val", "shifted"), default="val")
    parser.add_argument("--limit", type=int, default=256, help="number of questions")
    args = parser.parse_args()
    paths = WorldPaths(args.world or default_path())
    with one_thread():
        student, teacher = Sampler.load(args.student or paths.student), Sampler.load(paths.teacher)
        measured = measure(student, teacher, *load_questions(paths.file(args.split), args.limit))
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
