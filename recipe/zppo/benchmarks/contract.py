"""What a benchmark is: where its rows are, how a row becomes questions, and who scores a response.

A definition in `benchmarks/` is data and a few small functions, to be read beside its source. It knows neither engine,
nor decoding, nor files. Questions carry no closer: the runner appends it, as training does.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from recipe.zppo.prompts import Messages

Row = Mapping[str, Any]
"""A row of the data set, its columns as the `datasets` library gives them; images and videos not yet decoded."""


class Family(StrEnum):
    VLM = "vlm"
    LLM = "llm"
    VIDEO = "video"


class Scoring(StrEnum):
    """The scoring classes of Table 5."""

    EXACT_JUDGE = "Exact+Judge"
    """An exact match first; the shared judge for what that leaves unresolved."""
    RULE_JUDGE = "Rule+Judge"
    """A parser of the benchmark's own, then the same."""
    DETERMINISTIC = "Det."
    """The official metric. No judge."""
    BENCHMARK_JUDGE = "BenchJudge"
    """The benchmark's official judge prompt."""


@dataclass(frozen=True)
class Source:
    """A data set of the Hugging Face hub; or a folder of local copies, `FOLDER/<dataset>`, with the same columns."""

    dataset: str
    split: str
    """Several are joined by `+` and read one after the other; their names stand for the config's in `parts`."""
    configs: tuple[str | None, ...] = (None,)
    """All are read, in this order. None: the data set has no configs, or the default one."""
    columns: tuple[str, ...] = ()
    """That a row must have; a missing one is said by name, with the data set."""
    revision: str | None = None
    """Branch or commit; None is the default branch."""
    gated: bool = False
    """Access must be asked for on the data set's page."""
    files: tuple[str, ...] = ()
    """Patterns of further files in the data set's repository (archives of videos, subtitles) that rows point to. As
    of `fnmatch`: a star matches slashes too."""
    row_files: Callable[[Row, str | None], Mapping[str, str]] | None = field(default=None, repr=False)
    """Of a row and its part's name: for each file that it points to, a column and the end of the file's path once
    archives are unpacked (``data/abc.mp4``). `Benchmark.questions` finds in that column the whole path on this machine,
    or None where there is no such file."""

    @property
    def parts(self) -> tuple[tuple[str | None, str, str | None], ...]:
        """Config, split, and the name that `Benchmark.questions` gets: the split's where there are several."""
        splits = self.split.split("+")
        return tuple((config, split, split if splits[1:] else config) for config in self.configs for split in splits)


@dataclass(frozen=True, slots=True)
class Question:
    """What the student is asked once, and what a score needs."""

    id: str
    """Unique in its benchmark, the same in every process: from the source's own id where it has one."""
    messages: Messages = field(repr=False)
    """Chat messages without closer and without directives on reasoning or form; media as parts
    (`recipe.zppo.media.parts`). The last one is the user's."""
    gold: str
    options: Mapping[str, str] = field(default_factory=dict)
    """Label to text, in their order."""
    category: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What else the benchmark's own scorer needs: accepted answers, kind of metric, rubric. Plain JSON values."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule or metric says of a response. ``score`` None: unresolved, for the judge."""

    score: float | None
    """0 to 1."""
    answer: str = ""
    """Read off the response; empty where nothing was."""


@dataclass(frozen=True)
class OfficialJudge:
    """A benchmark's own judge."""

    messages: Callable[[Question, str], Messages]
    """Of a question and a response."""
    score: Callable[[Question, str], float | None]
    """Of the judge's reply; None where it is malformed."""
    max_tokens: int = 512


@dataclass(frozen=True, slots=True)
class Scored:
    """A question and its score, for `Benchmark.aggregate`."""

    id: str
    score: float
    category: str
    extra: Mapping[str, Any]


def mean(scored: Sequence[Scored]) -> float:
    """Of all questions alike."""
    return sum(each.score for each in scored) / len(scored)


@dataclass(frozen=True)
class Benchmark:
    """One row of Table 5."""

    name: str
    """The paper's short name, as in its tables: ``AI2D``."""
    title: str
    family: Family
    scoring: Scoring
    source: Source
    questions: Callable[[Row, str | None, int], Iterable[Question]] = field(repr=False)
    """Of a row, its part's name (`Source.parts`: the config, as a rule), and its place in that part.

    Raises:
        DataError: the row lacks what it needs, an image for one; the message names the column.
    """
    decide: Callable[[Question, str], Decision] | None = field(default=None, repr=False)
    """The rule or metric on a response; None where the official judge alone scores."""
    judge: OfficialJudge | None = field(default=None, repr=False)
    """None: the shared judge, where `scoring` has one."""
    aggregate: Callable[[Sequence[Scored]], float] = field(default=mean, repr=False)
    """0 to 1, of all scored questions."""
    check: Callable[[], None] | None = field(default=None, repr=False)
    """Before anything is asked. Raises ConfigError, with the remedy, where a package that `decide` needs is missing."""
    size: int = 0
    """Questions in the source, for the time left before it is loaded; a test set of another size is no error."""
