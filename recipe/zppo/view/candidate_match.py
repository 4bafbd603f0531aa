"""Whose answer the student gives under candidates (App. F.7): ``python -m recipe.zppo.candidate_match RUN_DIR``.

If the candidates gave the answer away, BCQ accuracy would be near 100%; if they were not read, responses would not give
the candidates' answers. Exit status 2, with one line, where there are none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from recipe.zppo.compression import folded_answer
from recipe.zppo.config.ending import Arguments, command
from recipe.zppo.reward import extract_answer
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.view.screen import Screen
from recipe.zppo.view.title import print_title


@dataclass
class Share:
    """``part`` of ``whole`` responses."""

    part: int = 0
    whole: int = 0

    def count(self, holds: bool) -> None:
        self.part += holds
        self.whole += 1

    def __str__(self) -> str:
        return f"{self.part / self.whole:.1%} of {self.whole:,}" if self.whole else "-"


class CandidateMatch:
    """The shares of the audit, over all BCQ and NCQ groups that are added; `rows` says what they are.

    A response without an answer counts, and matches nothing: the paper's "other". A candidate without one leaves its
    group out of the share that is about it; of an NCQ only if no candidate has one.
    """

    def __init__(self) -> None:
        self.bcq_right, self.right_gives_positive, self.wrong_gives_negative = Share(), Share(), Share()
        self.ncq_right, self.ncq_repeats, self.ncq_gives_teachers = Share(), Share(), Share()
        self._teachers: dict[tuple[Any, Any], set[str]] = {}  # answers, by step and question

    def add(self, group: dict[str, Any]) -> None:
        """A group of `RunFolder.groups`, or a line of a rollout file."""
        kind = group.get("kind")
        visit = group.get("built_in_step"), group.get("prompt_id")
        if "teacher" in group:
            given = (answer_of(response) for response in group["teacher"]["responses"])
            self._teachers[visit] = {folded_answer(answer) for answer in given if answer}
        if kind not in ("bcq", "ncq"):
            return
        shown = {correct: set() for correct in (True, False)}
        for candidate in group["candidates"]:
            # A summary may box another answer than the response it is of; the student reads the summary. An NCQ lists
            # the response's own as well (Fig. 18).
            answers = map(folded_answer, (shown_answer(candidate), candidate.get("answer")))
            told = [answer for answer in answers if answer]
            shown[bool(candidate["correct"])].update(told if kind == "ncq" else told[:1])
        for response in group["responses"]:
            answer, right = folded_answer(response.get("answer")), response["reward"] > 0
            if kind == "ncq":
                self.ncq_right.count(right)
                if shown[False]:
                    self.ncq_repeats.count(answer in shown[False])
                if teachers := self._teachers.get(visit):
                    self.ncq_gives_teachers.count(answer in teachers)
                continue
            self.bcq_right.count(right)
            if shown[right]:
                (self.right_gives_positive if right else self.wrong_gives_negative).count(answer in shown[right])

    def rows(self) -> list[tuple[str, Share, str]]:
        """What is counted, and the paper's number."""
        return [
            ("BCQ responses that are right", self.bcq_right, "36 to 69%"),
            ("  right ones that give the right candidate's answer", self.right_gives_positive, "78 to 91%"),
            ("  wrong ones that give the wrong candidate's answer", self.wrong_gives_negative, "77 to 97%"),
            ("NCQ responses that are right", self.ncq_right, "1 to 35%"),
            ("  that repeat a listed wrong answer", self.ncq_repeats, "82.7, 2.2, 0.7, 0.2% at 0.8, 2, 4, 9B"),
            ("  that give an answer of the teacher, which NCQ does not show", self.ncq_gives_teachers, "not printed"),
        ]


def shown_answer(candidate: dict[str, Any]) -> str | None:
    """The answer that a candidate's text gives; logs from before it was in them are of boxes."""
    text = str(candidate.get("text") or "")
    return candidate["shown_answer"] if "shown_answer" in candidate else extract_answer(text)


def answer_of(response: dict[str, Any]) -> str | None:
    """The answer of a response; logs from before teachers' answers were in them have the text only."""
    return response["answer"] if "answer" in response else extract_answer(str(response.get("text") or ""))


def candidate_match(groups: Iterable[dict[str, Any]]) -> CandidateMatch:
    match = CandidateMatch()
    for group in groups:
        match.add(group)
    return match


@command()
def main(arguments: list[str] | None = None) -> int:
    parser = Arguments(prog="python -m recipe.zppo.candidate_match", description=__doc__.split("\n")[0])
    parser.add_argument("run_dir", help="folder of the run (its trainer.default_local_dir)")
    options = parser.parse_args(arguments)
    folder = RunFolder(options.run_dir)
    match = candidate_match(folder.groups())
    table = Table("", "this run", "the paper", box=None)
    for text, share, paper in match.rows():
        table.add_row(text, str(share), paper)
    console = Screen()
    print_title(folder, console)
    console.print(table)
    return 0
