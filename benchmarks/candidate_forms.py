r"""What candidates of BCQs look like under each rule: ``python -m benchmarks.candidate_forms OUT [override ...]``.

Rolls out the steps of a run of `recipe.zppo.local`, without BCQ answers and updates, and keeps every summary that the
teacher wrote. Each rule is then applied to the same pairs and the same summaries: which forms come out, and what the
audit of `recipe.zppo.cue_audit` can tell from the looks. Pairs are added to ``OUT/pairs.jsonl`` step by step, so that
commands with several values of zppo.seed add up; without overrides, what is there is reported.

``truncate`` shows no summary; ``strict`` is the rule up to version 0.1.0: one summary, used if its boxed text is the
response's; ``graded`` is today's.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from recipe.zppo.candidates import Draft, draw_candidates
from recipe.zppo.compression import Fallback, folded_answer
from recipe.zppo.config.compose import compose
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ZPPOError
from recipe.zppo.local.trainer import LocalTrainer
from recipe.zppo.reward import extract_answer
from recipe.zppo.rollout.step_state import StepWork
from recipe.zppo.sanitize import sanitize
from recipe.zppo.teacher.client import TeacherClient
from recipe.zppo.types import Group, StepResult
from recipe.zppo.view.cue_audit import audit, read_pairs


class Watched(LocalTrainer):
    """Rolls out and learns nothing; one line a pair is added to ``file``."""

    file: Path

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.groups: list[tuple[StepWork, Group]] = []
        self.summaries: dict[Draft, list[tuple[str, Fallback | None]]] = {}
        for client in self.workers._teachers:
            client._why_not_used = self._watch(client)
        self.pipeline.teacher.prepare = self._prepare(self.pipeline.teacher.prepare)

    def _prepare(self, prepare: Any) -> Any:
        async def prepared(work: StepWork, group: Group) -> bool:
            """The candidates are there, and there is nothing to answer."""
            if await prepare(work, group):
                self.groups.append((work, group))
            return False

        return prepared

    def _watch(self, client: TeacherClient) -> Any:
        ask = client._why_not_used

        async def why_not_used(draft: Draft, summary: str) -> Fallback | None:
            reason = await ask(draft, summary)
            self.summaries.setdefault(draft, []).append((sanitize(summary, client.special_tokens), reason))
            return reason

        return why_not_used

    def _learn(self, *_: Any) -> None:
        pass

    def _keep_books(self, result: StepResult) -> None:
        super()._keep_books(result)
        client, lines = self.workers._teachers[0], []
        for work, group in self.groups:
            prompt_id = group.question.prompt_id
            plain, helpers = work.plain[prompt_id], work.teacher[prompt_id].rollouts
            drafts = draw_candidates(plain, helpers, right=True, seed=self.zppo.seed, step=result.step)
            sides = [
                asdict(draft) | {"tail": client.without_teacher(draft, "").text, "summaries": self.summaries[draft]}
                for draft in drafts
                if draft in self.summaries  # else the request has failed
            ]
            if len(sides) == 2:
                lines.append(json.dumps({"prompt_id": prompt_id, "sides": sides}) + "\n")
        with self.file.open("a") as file:
            file.writelines(lines)
        self.summaries.clear()
        self.groups.clear()


def strict(side: dict[str, Any]) -> str | None:
    """The first summary, if the rule of version 0.1.0 takes it."""
    summary, reason = side["summaries"][0]
    answers = [extract_answer(text) for text in (side["text"], summary)]
    same = [None if answer is None else folded_answer(answer) for answer in answers]
    return summary if summary and same[0] == same[1] and reason != Fallback.TOO_LONG else None


def graded(side: dict[str, Any], attempts: int) -> str | None:
    """The first of so many summaries that today's rule takes."""
    usable = None
    for summary, reason in side["summaries"][:attempts]:
        if reason in (None, Fallback.NO_BOX):
            usable = summary
        if reason is None:
            break
    return usable


def shown(lines: list[dict[str, Any]], rule: Any, mixed_forms: str) -> Iterator[dict[str, Any]]:
    """Groups as the rollout files hold them."""
    for line in lines:
        summaries = [rule(side) for side in line["sides"]]
        mixed = (summaries[0] is None) != (summaries[1] is None)
        if mixed and mixed_forms == "drop":
            continue
        if mixed and mixed_forms == "fall_back":
            summaries = [None, None]
        candidates = [
            {
                "correct": side["correct"],
                "compression": "tail" if summary is None else "teacher",
                "text": side["tail"] if summary is None else summary,
            }
            for side, summary in zip(line["sides"], summaries, strict=True)
        ]
        yield {"prompt_id": line["prompt_id"], "candidates": candidates}


def report(lines: list[dict[str, Any]], console: Console) -> None:
    for correct in (True, False):
        sides = [side for line in lines for side in line["sides"] if side["correct"] is correct]
        for attempt in range(max((len(side["summaries"]) for side in sides), default=0)):
            reasons = Counter(str(s["summaries"][attempt][1]) for s in sides if len(s["summaries"]) > attempt)
            console.print(f"{'right' if correct else 'wrong'}, summary {attempt + 1}: {dict(reasons)}", highlight=False)
        no_box = sum(extract_answer(side["text"]) is None for side in sides)
        console.print(f"  responses without a box: {no_box} of {len(sides)}", highlight=False)
    rules: dict[str, Any] = {"truncate": lambda side: None, "strict": strict}
    for attempts in (1, 2, 3):
        rules[f"graded, {attempts} asked"] = lambda side, attempts=attempts: graded(side, attempts)
    table = Table("rule", "mixed forms", "pairs", "summary", "raw", "mixed", "length", "form", "box", "opening", "all")
    for name, rule in rules.items():
        for mixed_forms in ("show", "drop", "fall_back") if name != "truncate" else ("show",):
            pairs = read_pairs(shown(lines, rule, mixed_forms))
            forms = Counter(pair.form for pair in pairs)
            try:
                found = audit(pairs)
                cues = [f"{found[cue].value:.0%}" for cue in ("length", "form", "box", "opening")]
                cues.append(f"{found['all'].value:.0%} ({found['all'].low:.0%} to {found['all'].high:.0%})")
            except ZPPOError as error:
                cues = [str(error)[:20]]
            counts = [str(forms[form]) for form in ("summary", "raw", "mixed")]
            table.add_row(name, mixed_forms, str(len(pairs)), *counts, *cues)
    console.print(table)


def main(out: str, *overrides: str) -> None:
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pairs.jsonl"
    if overrides:
        fixed = ["zppo.compression.mixed_forms=show", "zppo.compression.attempts=3", "zppo.reformulation.ncq=false"]
        off = ["trainer.save_freq=-1", "trainer.test_freq=-1", "trainer.val_before_train=false"]
        where = [f"trainer.default_local_dir={folder}/run", "trainer.resume_mode=disable", "zppo.export.hf_model=false"]
        config = compose(["platform=cpu", *overrides, *fixed, *off, *where])
        trainer = Watched(config, validate_zppo(config.zppo))
        trainer.file = file
        trainer.fit()
    report([json.loads(line) for line in file.read_text().splitlines()], Console(width=160))


if __name__ == "__main__":
    main(*sys.argv[1:])
