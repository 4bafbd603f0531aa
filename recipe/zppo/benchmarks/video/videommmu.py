"""Video-MMMU: lectures of 30 subjects. What they show, what they mean, and a new problem that they prepare for.

`lmms-lab/VideoMMMU`, configs Perception, Comprehension and Adaptation (its three stages), split test, 300 questions
each, 900 in all. Access is given on the data set's page. Columns: id (the video's name), question, options (list of
texts, maybe labelled; empty for an open question), answer, question_type; Adaptation has image as well, the picture
that its question names as `<image 1>`, and shows it at the end of its videos too. Its own rule reads an option by label
or text; an open answer is read as a short one, a number right within a hundredth as in MMMU's rule.
"""

import re
from collections.abc import Iterator, Mapping

from recipe.zppo.benchmarks.contract import Benchmark, Decision, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import lettered, with_options
from recipe.zppo.benchmarks.scoring.choice import decide_choice
from recipe.zppo.benchmarks.scoring.number import decide_rounded
from recipe.zppo.benchmarks.seen import interleaved, video, without_form

_LABEL = re.compile(r"^\s*([A-Z])\.\s*")
_PICTURE = re.compile(r" ?<image ?\d+>")


def _row_files(row: Row, part: str | None) -> Mapping[str, str]:
    return {"file": f"{row['id']}.mp4"}


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    options = _options(list(row["options"] or ()))
    text = with_options(without_form(row["question"]), options)
    picture = row.get("image")
    text = text if picture else _PICTURE.sub("", text)
    content = [video(row, "file"), *interleaved(text, {"image_1": picture})]
    yield Question(
        f"{part}/{row['id']}",
        [{"role": "user", "content": content}],
        str(row["answer"]).strip(),
        options,
        category=part or "",
        extra={"subject": "_".join(row["id"].split("_")[1:-1])},
    )


def _options(texts: list[str]) -> Mapping[str, str]:
    labels = "".join(match[1] for text in texts if (match := _LABEL.match(text)))
    labelled = bool(texts) and labels == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(texts)]
    return lettered(_LABEL.sub("", text) if labelled else text for text in texts) if texts else {}


def _decide(question: Question, response: str) -> Decision:
    if question.options:
        return decide_choice(question, response)
    said = decide_rounded(question, response, 2)
    return said if said.score else Decision(None, said.answer)


BENCHMARK = Benchmark(
    name="VMMMU",
    title="Video-MMMU",
    family=Family.VIDEO,
    scoring=Scoring.RULE_JUDGE,
    source=Source(
        "lmms-lab/VideoMMMU",
        "test",
        configs=("Perception", "Comprehension", "Adaptation"),
        columns=("id", "question", "options", "answer", "question_type"),
        gated=True,
        files=("*.zip",),
        row_files=_row_files,
    ),
    questions=_questions,
    decide=_decide,
    size=900,
)
