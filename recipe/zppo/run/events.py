"""The types of a run's event log, ``events.jsonl``, and their one reader. docs/reference/events.md is the schema.

Every line is one event: an object that begins with its ``type`` and has the ``step`` it belongs to. Events name and
count; the whole texts of a group are in ``rollouts/step_<n>.jsonl``, on the line that `RolledOut` says. The writer is
`recipe.zppo.run.event_log`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from recipe.zppo.errors import ZPPOError

VERSION = 1
"""Of the schema. It grows with a change that a reader of before would misread; new fields and types are none."""

EVENTS_FILE = "events.jsonl"

TEXT_LIMIT = 200
"""Characters of an answer, a cause or a question in an event at most."""


class EventLogError(ZPPOError, ValueError):
    """The log is of a later version than this reader."""


class Started(TypedDict):
    """A process began, or went on, to train; ``step`` is the last one that was there already, 0 for none."""

    type: Literal["started"]
    step: int
    time: float
    """Seconds since 1970, here and elsewhere."""
    version: int


class ShownCandidate(TypedDict):
    """A candidate of a BCQ or NCQ, in the order shown."""

    source: str
    """teacher, student, or data (a row's worked solution)"""
    correct: bool
    answer: str
    """Of the response that it is of."""
    shown_answer: str
    """Which its text gives."""
    compression: str
    """`types.Candidate.compression`"""
    rejected: NotRequired[list[str]]


class Response(TypedDict):
    reward: float
    answer: str
    num_tokens: int
    num_given: NotRequired[int]
    verdict: NotRequired[str]
    doubtful: NotRequired[bool]
    follows: NotRequired[list[int]]
    """Under candidates: those whose answer this is, by place; none for an answer of its own."""


class TeacherResponse(TypedDict):
    reward: float
    answer: str
    num_tokens: int
    verdict: NotRequired[str]


class RolledOut(TypedDict):
    """A group: responses to one prompt."""

    type: Literal["rolled_out"]
    step: int
    built_in_step: int
    """The step that drew the question; before ``step`` with ``schedule=next_step``."""
    uid: str
    prompt_id: str
    kind: str
    """`types.Kind`"""
    replayed: bool
    row: int
    """Of the training data, as the run has it."""
    source: str
    """`data_source`, "" for none."""
    ground_truth: str
    accuracy: float
    responses: list[Response]
    failures: list[str]
    trained: bool
    """False where dynamic sampling, or off-policy distillation, left the group out of the update."""
    line: int
    """Of rollouts/step_<step>.jsonl, from 0, with the texts."""
    media: NotRequired[list[str]]
    """image or video, one for each in the prompt; absent where there is none."""
    place: NotRequired[str]
    """File and row of the question, where it has media."""


class Reformulated(TypedDict):
    """A group's prompt is ready. `RolledOut` with its ``uid`` follows, or `Skipped`."""

    type: Literal["reformulated"]
    step: int
    built_in_step: int
    uid: str
    prompt_id: str
    kind: str
    candidates: list[ShownCandidate]
    form: NotRequired[str]
    """summary, raw or mixed, where there are candidates"""


class Skipped(TypedDict):
    """A question that did not get this group."""

    type: Literal["skipped"]
    step: int
    built_in_step: int
    prompt_id: str
    kind: str
    reason: str
    """`recipe.zppo.run.step_events.REASONS`"""


class TeacherAsked(TypedDict):
    """Without `TeacherAnswered`, the answers were not waited for."""

    type: Literal["teacher_asked"]
    step: int
    built_in_step: int
    prompt_id: str


class TeacherAnswered(TypedDict):
    type: Literal["teacher_answered"]
    step: int
    built_in_step: int
    prompt_id: str
    teacher: int
    """Which of several."""
    responses: list[TeacherResponse]
    failed: int
    """Requests without a response."""
    error: str
    """The last cause, "" for none."""


class Admitted(TypedDict):
    """A hard question entered the replay buffer."""

    type: Literal["admitted"]
    step: int
    prompt_id: str
    row: int
    accuracy: float
    source: str
    question: str
    """Its beginning."""


class Visited(TypedDict):
    """A question of the buffer was rolled out again, plainly."""

    type: Literal["visited"]
    step: int
    prompt_id: str
    accuracy: float
    visits: int
    """So far, this one included."""


class Graduated(TypedDict):
    """It left the buffer as solved."""

    type: Literal["graduated"]
    step: int
    prompt_id: str
    entry_step: int
    entry_accuracy: float
    visits: int


class Evicted(TypedDict):
    """It left the buffer otherwise."""

    type: Literal["evicted"]
    step: int
    prompt_id: str
    entry_step: int
    entry_accuracy: float
    visits: int
    improved: bool
    """Its accuracy was above ``entry_accuracy`` in a visit (Fig. 24)."""
    reason: Literal["capacity", "data_changed"]


class Measured(TypedDict):
    """The metrics of a step (docs/reference/metrics.md) but those of validation; what is not finite is null."""

    type: Literal["measured"]
    step: int
    time: float
    metrics: dict[str, Any]


class Validated(TypedDict):
    """Metrics of a validation."""

    type: Literal["validated"]
    step: int
    time: float
    metrics: dict[str, Any]


class Checkpointed(TypedDict):
    """A checkpoint of the step is complete."""

    type: Literal["checkpointed"]
    step: int
    time: float


Event: TypeAlias = (
    Started
    | RolledOut
    | Reformulated
    | Skipped
    | TeacherAsked
    | TeacherAnswered
    | Admitted
    | Visited
    | Graduated
    | Evicted
    | Measured
    | Validated
    | Checkpointed
)

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def read_events(path: Path, *types: str) -> Iterator[Any]:
    """The events of the log in their order, or those of ``types`` only: others are then not even parsed.

    What is not a whole event of a known type (half a line, garbage) is passed over. No file: nothing.

    Raises:
        EventLogError: the log is of a later version.
    """
    wanted = tuple(f'{{"type": "{name}"'.encode() for name in (*types, "started")) if types else (b"",)
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below; a missing file is no error)
    except OSError:
        return
    with file:
        for line in file:
            if not line.startswith(wanted):
                continue
            try:
                event = _EVENT.validate_json(line)
            except ValidationError:
                continue
            if event["type"] == "started" and event["version"] > VERSION:
                raise EventLogError(f"{path} has version {event['version']}, this version reads {VERSION}")
            if not types or event["type"] in types:
                yield event
