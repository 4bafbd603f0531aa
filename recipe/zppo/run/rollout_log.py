"""What the student was shown and what it answered: one JSONL file a step, one line a group."""

import json
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from recipe.zppo.methods.candidate_questions import form_of
from recipe.zppo.prompts import content_text, question_text, with_closer
from recipe.zppo.run.files import DispensableWrites, write_atomically
from recipe.zppo.types import Group, StepResult

logger = logging.getLogger(__name__)


class RolloutLog:
    """Writes ``<folder>/step_<n>.jsonl`` in the background; the file appears whole.

    A line holds step, uid, prompt_id, kind (`types.Kind`), replayed, question, prompt, ground_truth, accuracy,
    candidates and their form, responses with their rewards, and for hard questions the teacher's rollouts. Texts are
    cut at ``text_limit``. The events of the step (`recipe.zppo.run.events`) say the same without the texts.
    A file that the disk refuses is missing, and counted by ``failed``; the run goes on.
    """

    def __init__(self, folder: str | None, text_limit: int | None):
        self.folder, self.text_limit = folder, text_limit
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rollout-log")
        self._pending: Future | None = None
        self._writes = DispensableWrites()

    @property
    def failed(self) -> int:
        """Files that could not be written, of those that are done: the last one may be under way."""
        return self._writes.failed

    def path(self, step: int) -> Path | None:
        """Of the step's file; None where none is written."""
        return None if self.folder is None else Path(self.folder, f"step_{step:06d}.jsonl")

    def write(self, result: StepResult) -> None:
        path = self.path(result.step)
        if path is None:
            return
        self.flush()  # files never pile up
        self._pending = self._executor.submit(self._write, result, path)

    def flush(self) -> None:
        """Wait until the last file is there, or has failed; an error that is not the disk's surfaces here."""
        if self._pending is not None:
            self._pending.result()

    def close(self) -> None:
        self.flush()
        self._executor.shutdown()
        if self.failed:
            logger.warning("%s: %d file(s) of rollouts could not be written", self.folder, self.failed)

    def _write(self, result: StepResult, path: Path) -> None:
        def write(temporary: str) -> None:
            with open(temporary, "w", encoding="utf-8", errors="replace") as file:
                for group in result.groups:
                    file.write(json.dumps(self._line(result, group), ensure_ascii=False) + "\n")

        with self._writes.attempt(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(str(path), write)

    def _line(self, result: StepResult, group: Group) -> dict[str, Any]:
        question = group.question
        line: dict[str, Any] = {
            "step": result.step,
            "built_in_step": group.step,
            "uid": group.uid,
            "prompt_id": question.prompt_id,
            "kind": group.kind.value,
            "replayed": question.replayed,
            "question": self._cut(question_text(question.messages)),
            "prompt": [
                {"role": message["role"], "content": self._cut(content_text(message["content"]))}
                for message in with_closer(group.prompt)
            ]
            if group.prompt
            else [],
            "ground_truth": str(question.data.get("reward_model", {}).get("ground_truth", "")),
            "accuracy": group.accuracy,
            "candidates": [
                {
                    "source": candidate.source,
                    "correct": candidate.correct,
                    "answer": self._cut(candidate.answer),
                    "shown_answer": self._cut(candidate.shown_answer),
                    "compression": candidate.compression,
                    **({"rejected": list(candidate.rejected)} if candidate.rejected else {}),
                    "text": self._cut(candidate.text),
                }
                for candidate in group.candidates
            ],
            **({"form": form_of(group.candidates)} if group.candidates else {}),
            "responses": [
                {
                    "reward": rollout.reward,
                    "answer": self._cut(rollout.answer),
                    "num_tokens": rollout.num_tokens,
                    **({"num_given": rollout.num_given} if rollout.num_given else {}),
                    **({"verdict": rollout.verdict} if rollout.verdict else {}),
                    **({"doubtful": True} if rollout.doubtful else {}),
                    "text": self._cut(rollout.text),
                }
                for rollout in group.rollouts
            ],
            **({"hint": self._cut(group.hint)} if group.hint else {}),
            "failures": [f"{failure.reason}: {failure.detail}" for failure in group.failures],
        }
        teacher = result.teacher.get(question.prompt_id)
        if teacher is not None and group.kind.value == "plain" and group.step == result.source_step:
            line["teacher"] = {
                "responses": [
                    {
                        "reward": r.reward,
                        "answer": self._cut(r.answer or ""),
                        **({"verdict": r.verdict} if r.verdict else {}),
                        "text": self._cut(r.text),
                    }
                    for r in teacher.rollouts
                ],
                "failed": teacher.failed,
                "error": teacher.error,
            }
        return line

    def _cut(self, text: str) -> str:
        limit = self.text_limit
        return text if limit is None or len(text) <= limit else f"{text[:limit]} [... {len(text) - limit} characters]"
