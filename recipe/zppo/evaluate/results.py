"""The results folder: what it holds, and how it is read.

    OUT/<model>/results.json                    one `ModelResults`, whole after every benchmark
    OUT/<model>/questions/<benchmark>.jsonl     one `Line` a question and sample

`<model>` is the last part of the model's path, or the name that was given to it. A benchmark that is under way has its
lines and no entry in `results.json`. While it runs a line may stand twice, first without a score (the judge is still to
say), then with one: the last one counts. When it ends the file is written anew, in the order of the questions.

Scores of a line are 0 to 1, those of a benchmark 0 to 100, as the paper's tables have them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from recipe.zppo.errors import DataError
from recipe.zppo.run.files import write_text_atomically

FORMAT = 1
"""Of the folder; another one is refused by name."""

RESULTS, QUESTIONS = "results.json", "questions"

MAX_UNANSWERED = 0.01
"""Share of rows without an answer above which a benchmark has no score."""


@dataclass(frozen=True, slots=True)
class Line:
    """A question, asked once. Texts are as the models wrote them: untrusted."""

    id: str
    sample: int
    """From 0 to ``samples`` - 1."""
    category: str
    prompt: str
    """All turns as text, media as ``<image>``, ``<video>``, with the closer."""
    gold: str
    response: str
    answer: str = ""
    """Read off the response; empty where nothing was."""
    decided_by: str = ""
    """``rule``, ``judge`` or ``metric``. Empty: nobody has; without a judge it stays so, and the score is 0."""
    score: float | None = None
    """0 to 1. None: unanswered, see ``error``, or the judge has not been asked yet."""
    finish: str = ""
    """``stop``, or ``length`` where the response was cut at the limit; empty where nobody said."""
    tokens: int = 0
    """Of the response."""
    judge_reply: str = ""
    judge_tokens: int = 0
    malformed: bool = False
    """The judge's reply was none; the score is 0."""
    error: str = ""
    """Why there is no answer, or no verdict, after all tries. Such a line counts as unanswered, never as wrong."""


@dataclass(frozen=True)
class BenchmarkResult:
    """What became of a benchmark. All numbers of lines count questions times samples."""

    name: str
    family: str
    """``vlm``, ``llm`` or ``video``."""
    scoring: str
    """The class of Table 5: ``Exact+Judge``."""
    dataset: str
    score: float | None
    """0 to 100. None: see `error`."""
    standard_error: float | None = None
    """Of `score`, from the scores of its samples; None with one sample."""
    sample_scores: list[float] = field(default_factory=list)
    questions: int = 0
    lines: int = 0
    answered: int = 0
    unanswered: int = 0
    """Without an answer, without a verdict, or of a row that can't be read. They are in no mean."""
    cut: int = 0
    """Cut at the limit; scored as they are."""
    by_rule: int = 0
    by_metric: int = 0
    by_judge: int = 0
    """Malformed ones included."""
    malformed: int = 0
    undecided: int = 0
    """Left open by the rule, and there is no judge: scored 0."""
    tokens: int = 0
    judge_tokens: int = 0
    seconds: float = 0.0
    """Under way, in the call that ended it."""
    error: str = ""
    """One line: why there is no score, or the first of the rows that could not be read."""


@dataclass
class ModelResults:
    """`results.json`. Without entries in `benchmarks` the evaluation has only begun."""

    model: str
    """Its name: that of the folder."""
    path: str
    """As it was given: a folder, a hub id, or the name under which a server knows it."""
    engine: str
    judge: str | None
    """Its path or name; None: there is none."""
    seed: int
    samples: int
    limit: int | None
    """Questions of each benchmark at most, a seeded subset; None: all."""
    protocol: dict[str, Any]
    """Decoding, pixels, closer, judge: `protocol.Protocol`."""
    versions: dict[str, str] = field(default_factory=dict)
    started: str = ""
    """ISO 8601, UTC, as is `changed`."""
    changed: str = ""
    benchmarks: dict[str, BenchmarkResult] = field(default_factory=dict)
    """By name, in the order of their end."""
    format: int = FORMAT

    def scores(self) -> dict[str, float]:
        """Of the benchmarks that have one, 0 to 100."""
        return {name: each.score for name, each in self.benchmarks.items() if each.score is not None}


# ---------------------------------------------------------------------- reading


def read_results(folder: str | Path) -> ModelResults:
    """`results.json` of a model's folder.

    Raises:
        DataError: there is none, it is damaged, or of another format.
    """
    path = Path(folder) / RESULTS
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: there is none; python -m recipe.zppo.evaluate writes it") from None
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{path} is of another format than this program's ({FORMAT})")
    try:
        found = {name: BenchmarkResult(**_known(BenchmarkResult, each)) for name, each in content["benchmarks"].items()}
        return ModelResults(**{**_known(ModelResults, content), "benchmarks": found})
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def read_all(folder: str | Path) -> list[ModelResults]:
    """Of every model in a results folder, or of the one whose folder it is, by name.

    Raises:
        DataError: there is none, or one is damaged.
    """
    folder = Path(folder)
    if (folder / RESULTS).is_file():
        return [read_results(folder)]
    found = [read_results(path.parent) for path in sorted(folder.glob(f"*/{RESULTS}"))]
    if not found:
        raise DataError(f"{folder}: no {RESULTS} in it or in a folder below; python -m recipe.zppo.evaluate writes it")
    return found


def read_lines(path: str | Path) -> Iterator[Line]:
    """Of a file of `questions/`, each question and sample once, as it stands there last."""
    last = {(line.id, line.sample): at for at, line in places(path)}
    yield from (line for at, line in places(path) if last[line.id, line.sample] == at)


def places(path: str | Path) -> Iterator[tuple[int, Line]]:
    """Every line that is whole, with the place in the file where it begins."""
    with open(path, "rb") as file:
        at = 0
        for line in file:
            if (parsed := parsed_line(line)) is not None:
                yield at, parsed
            at += len(line)


def questions_file(folder: str | Path, benchmark: str) -> Path:
    return Path(folder) / QUESTIONS / f"{benchmark}.jsonl"


def is_results_folder(folder: str | Path) -> bool:
    """Of one model or of several."""
    folder = Path(folder)
    return (folder / RESULTS).is_file() or any(folder.glob(f"*/{RESULTS}"))


# ---------------------------------------------------------------------- writing


def write_results(folder: str | Path, results: ModelResults) -> None:
    content = json.dumps(asdict(results), indent=2, ensure_ascii=False, allow_nan=False)
    write_text_atomically(str(Path(folder) / RESULTS), content + "\n")


def line_of(line: Line) -> bytes:
    """As it stands in the file. Half characters, which a model's server may spell, become question marks."""
    content = {each.name: getattr(line, each.name) for each in fields(Line)}
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def parsed_line(line: bytes) -> Line | None:
    """None for a line that was cut off when the command was killed."""
    if not line.endswith(b"\n"):
        return None
    try:
        return Line(**_known(Line, json.loads(line)))
    except (ValueError, TypeError):
        return None


def _known(kind: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """Of a later program's entries those that this one knows."""
    names: Sequence[str] = [each.name for each in fields(kind)]
    return {name: content[name] for name in names if name in content}
