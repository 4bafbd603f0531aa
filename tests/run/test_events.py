"""The event log: what it says is what was, whenever its writer is killed."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.run import events as schema
from recipe.zppo.run.event_log import EventLog
from recipe.zppo.run.events import read_events
from recipe.zppo.run.folder import RunFolder, read_json_lines
from recipe.zppo.run.step_events import REASONS, evicted, follows, step_events
from recipe.zppo.sanitize import sanitize
from recipe.zppo.step import StepOutcome
from recipe.zppo.types import (
    Candidate,
    Group,
    Kind,
    Question,
    Rollout,
    RolloutFailure,
    StepResult,
    TeacherAnswers,
    TeacherRollout,
)
from recipe.zppo.view.question_life import GRADUATED, IMPROVED, INSIDE, NEVER_IMPROVED, lives, with_texts
from tests.event_lines import rebuilt_buffer
from tests.view.synthetic_run import write_run

QUESTIONS = st.sampled_from([f"q{i}" for i in range(12)])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return RunFolder(write_run(tmp_path_factory.mktemp("events") / "run"))


def question(name: str, row: int = 0, content: Any = "how many?") -> Question:
    return Question(name, row, False, {"raw_prompt": [{"role": "user", "content": content}], "data_source": "s"})


def group(name: str, kind: Kind, answers: str, step: int = 1, **given: Any) -> Group:
    """A letter an answer; r is the right one."""
    rollouts = [Rollout(i, f"{i}", "text", float(a == "r"), a, 1, 2) for i, a in enumerate(answers)]
    return Group(f"{step}.{name}.{kind.value}", kind, question(name), step, rollouts, **given)


def outcome_of(step: int, plain: list[Group], buffer: PromptReplayBuffer | None = None, **given: Any) -> StepOutcome:
    result = StepResult(step, plain, given.pop("reformulated", []), Counter(), {}, source_step=step, **given)
    outcomes = [(each.question.prompt_id, each.accuracy, each.question.row) for each in plain]
    return StepOutcome(result, plain, None if buffer is None else buffer.update(step, outcomes))


@settings(max_examples=40, deadline=None)
@given(capacity=st.integers(1, 5), drawn=st.lists(st.dictionaries(QUESTIONS, st.integers(0, 4)), max_size=12))
def test_the_events_rebuild_the_buffer(capacity: int, drawn: list[dict[str, int]]) -> None:
    """After every step, whatever comes again as new or from the buffer; at the end some of the data are gone."""
    buffer, events, step = PromptReplayBuffer(capacity, 0.5, 0), [], 0
    for step, right in enumerate(drawn, 1):
        replayed = [entry.prompt_id for entry in buffer.sample(2, exclude=right)]
        groups = [group(name, Kind.PLAIN, ("r" * number).ljust(4, "w"), step) for name, number in right.items()]
        groups += [group(name, Kind.PLAIN, "wwww", step) for name in replayed]
        events += step_events(outcome_of(step, groups, buffer), ZPPOConfig())
        assert rebuilt_buffer(events) == list(buffer)
    gone = buffer.keep({entry.prompt_id: entry.reference for entry in list(buffer)[:2]})
    events += [evicted(entry, step, "data_changed") for entry in gone]
    assert rebuilt_buffer(events) == list(buffer)
    fates, totals = Counter(event["type"] for event in events), buffer.metrics()
    counted = [fates[name] for name in ("admitted", "graduated", "evicted")]
    assert counted == [totals[name] for name in ("admissions", "graduations", "evictions")]


def test_killed_at_any_byte_and_resumed_it_is_the_log_of_an_undisturbed_run(run: RunFolder, tmp_path: Path) -> None:
    """The checkpoint is of step 11; metrics and checkpoint of it may not be in the log yet."""
    lines = run.events_file.read_bytes().splitlines(keepends=True)
    steps = [json.loads(line) for line in lines]
    restored = next(event["metrics"] for event in steps if event["type"] == "measured" and event["step"] == 11)
    whole = b"".join(lines)
    least = sum(len(line) for line, event in zip(lines, steps, strict=True) if event["step"] <= 11)
    measured = len(next(line for line, event in zip(lines, steps, strict=True) if event == steps[-1]))
    path = tmp_path / "events.jsonl"
    last = [line for line, event in zip(lines, steps, strict=True) if event["step"] == 11][-1]
    for size in [*range(least - len(last), least + 1500, 331), len(whole) - measured // 2, len(whole)]:
        path.write_bytes(whole[:size])
        assert all(event in steps for event in read_events(path)), "half a line is passed over"
        log = EventLog(str(path))
        log.restored = restored
        log.resume(11)
        log.append(event for event in steps if event["step"] == 12)
        log.finish()
        assert without_time(read_events(path)) == without_time(steps), size


def test_what_left_as_the_data_changed_is_there_once_however_often_the_run_is_killed(tmp_path: Path) -> None:
    buffer = PromptReplayBuffer(3, 0.5, 0)
    plain = [group(name, Kind.PLAIN, "wwww") for name in "abc"]
    events = list(step_events(outcome_of(1, plain, buffer), ZPPOConfig()))
    gone = buffer.keep({"b": 0})
    path = tmp_path / "events.jsonl"
    for step in (0, 1, 1, 1):
        log = EventLog(str(path))
        log.gone = gone if step else ()
        log.resume(step)
        log.append(() if step else events)
        log.finish()
    assert [event["prompt_id"] for event in read_events(path, "evicted")] == ["a", "c"]
    assert [event["step"] for event in read_events(path, "started")] == [0, 1, 1, 1]
    assert rebuilt_buffer(read_events(path)) == list(buffer)


def test_a_validation_of_an_old_checkpoint_leaves_the_later_steps(run: RunFolder, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(before := run.events_file.read_bytes())
    for step in (0, 5):
        log = EventLog(str(path))
        log.resume(step, trains=False)
        log.log({"val-core/s/acc/mean@1": 0.25}, step)
        log.finish()
    assert path.read_bytes().startswith(before)
    assert [event["step"] for event in read_events(path)][-2:] == [0, 5]
    assert RunFolder(tmp_path).metrics()[5]["val-core/s/acc/mean@1"] == 0.25


def without_time(events: Any) -> list[dict[str, Any]]:
    """Nor starts, nor checkpoints of a step that the synthetic run has not saved."""
    shown = [{k: v for k, v in event.items() if k != "time"} for event in events]
    return [
        each for each in shown if each["type"] != "started" and (each["type"], each["step"]) != ("checkpointed", 11)
    ]


def test_every_hard_question_has_each_group_or_the_reason_why_not(run: RunFolder) -> None:
    hard = [(g["step"], g["prompt_id"]) for g in raw_groups(run) if g["kind"] == "plain" and g["accuracy"] < 0.5]
    found = Counter((e["step"], e["prompt_id"], e["kind"]) for e in run.events("skipped", "rolled_out"))
    for step, prompt_id in hard:
        assert [found[step, prompt_id, kind] for kind in ("bcq", "ncq")] == [1, 1]
    skipped = Counter(event["reason"] for event in run.events("skipped"))
    assert skipped["cap"] and skipped["teacher_wrong"] == sum(
        not any(response["reward"] for response in event["responses"]) for event in run.events("teacher_answered")
    ) - sum(g["kind"] == "bcq" and not any(c["correct"] for c in g["candidates"]) for g in raw_groups(run))


def raw_groups(run: RunFolder) -> list[dict[str, Any]]:
    return [line for path in run.rollout_files() for line in read_json_lines(path)]


def test_lives_agree_with_the_raw_rollouts(run: RunFolder) -> None:
    raw, found = raw_groups(run), lives(run)
    by_question: dict[str, list] = {}
    for line in raw:
        by_question.setdefault(line["prompt_id"], []).append(line)
    hard = {line["prompt_id"] for line in raw if line["kind"] == "plain" and line["accuracy"] < 0.5}
    assert {life.prompt_id for life in found} == hard
    for life in found:
        lines = by_question[life.prompt_id]
        plain = [line for line in lines if line["kind"] == "plain"]
        assert [draw.accuracy for draw in life.draws] == [line["accuracy"] for line in plain]
        assert life.entry_accuracy == next(line["accuracy"] for line in plain if line["accuracy"] < 0.5)
    texts = {group["uid"]: (group, line) for group, line in with_texts(run, found[:9])}
    assert set(texts) == {line["uid"] for life in found[:9] for line in by_question[life.prompt_id]}
    for group, line in texts.values():
        assert (group["accuracy"], group["kind"]) == (line["accuracy"], line["kind"])
        assert group["responses"][0]["answer"] == line["responses"][0]["answer"]
    shown = next(line for _, line in texts.values() if line["kind"] == "bcq")["prompt"]
    assert [message["role"] for message in shown] == ["user"] and shown[0]["content"].count("<candidate>\ntext\n") == 2
    assert shown[0]["content"].endswith(r"MUST BE put in \boxed{}.")
    fates, metrics = Counter(life.fate for life in found), run.metrics()[-1]
    assert fates[INSIDE] == metrics["zppo/buffer/size"] and fates[GRADUATED] == metrics["zppo/buffer/graduations"]
    assert fates[IMPROVED] + fates[NEVER_IMPROVED] == metrics["zppo/buffer/evictions"] > 0


def test_what_a_response_follows() -> None:
    def candidate(answer: str, shown: str = "") -> Candidate:
        return Candidate(sanitize("text"), "student", False, answer, "teacher", shown_answer=shown)

    candidates = (candidate("7"), candidate("7", "8"), candidate(""))
    assert [follows(answer, candidates) for answer in ("7", r"\text{8}", "9", "")] == [[0], [1], [], []]


def test_what_came_to_nothing_has_its_reason() -> None:
    """Lost on the way, or never begun; images are named with their place."""
    media = [{"type": "text", "text": "see "}, {"type": "image", "image": {"bytes": b"png"}}]
    plain = [group(name, Kind.PLAIN, "wwww") for name in "abcd"]
    plain[0].question = question("a", 5, media)
    lost = group("b", Kind.BCQ, "", failures=[RolloutFailure(0, "too_long", "x" * 999)])
    wrong, right = (answered(answers) for answers in ("w", "r"))
    teacher = {"a": right, "b": right, "c": wrong}
    result = outcome_of(
        1,
        plain,
        reformulated=[group("a", Kind.BCQ, "rw")],
        teacher=teacher,
        asked=("a", "b", "c", "d"),
        source_plain={each.question.prompt_id: each for each in plain},
        lost=[(lost, "does_not_fit")],
    )
    events = list(step_events(result, ZPPOConfig(), "data.parquet row {}".format))
    skipped = {(e["prompt_id"], e["kind"]): e["reason"] for e in events if e["type"] == "skipped"}
    ncq = {(name, "ncq"): "cap" for name in "abcd"}
    bcq = {("b", "bcq"): "does_not_fit", ("c", "bcq"): "teacher_wrong", ("d", "bcq"): "teacher_not_asked"}
    assert skipped == ncq | bcq and set(skipped.values()) <= set(REASONS)
    assert [e["prompt_id"] for e in events if e["type"] == "teacher_asked"] == ["a", "b", "c", "d"]
    assert [e["prompt_id"] for e in events if e["type"] == "teacher_answered"] == ["a", "b", "c"]
    first = next(event for event in events if event["type"] == "rolled_out")
    assert (first["media"], first["place"]) == (["image"], "data.parquet row 5")


def answered(letters: str) -> TeacherAnswers:
    return TeacherAnswers(tuple(TeacherRollout("text", float(a == "r"), 3, answer=a) for a in letters))


def test_the_page_names_every_type_and_field() -> None:
    page = Path("docs/reference/events.md").read_text()
    types = [getattr(schema, name) for name in dir(schema) if hasattr(getattr(schema, name), "__total__")]
    assert len(types) == 16
    names = {name for each in types for name in each.__annotations__}
    names |= {get_args(get_type_hints(each)["type"])[0] for each in types if "type" in each.__annotations__}
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []
    assert [reason for reason in REASONS if f"`{reason}`" not in page] == []
