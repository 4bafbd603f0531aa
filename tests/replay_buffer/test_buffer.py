"""The buffer against a list-based one written from the paper's text, under arbitrary sequences."""

import pickle
import random
import time
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from recipe.zppo.errors import ReplayBufferError
from recipe.zppo.replay_buffer import BufferEntry, PromptReplayBuffer
from recipe.zppo.replay_buffer.packing import pack, unpack

IDS = [*range(6), *"abcdef"]
ACCURACIES = st.integers(0, 8).map(lambda n: n / 8)
OUTCOMES = st.lists(st.tuples(st.sampled_from(IDS), ACCURACIES), max_size=8, unique_by=lambda o: o[0])


class ListBuffer:
    """A list, oldest admission first; every operation searches it."""

    def __init__(self, capacity, threshold):
        self.capacity, self.threshold, self.entries = capacity, threshold, []
        self.admitted, self.graduated, self.evicted = [], [], []
        self.visits_of_graduated, self.visits_of_evicted, self.visits_of_improved = [], [], []

    def find(self, prompt_id):
        return next((entry for entry in self.entries if entry["id"] == prompt_id), None)

    def update(self, step, outcomes):
        for prompt_id, accuracy, reference in outcomes:
            entry = self.find(prompt_id)
            if entry is not None:
                entry["visits"].append((step, accuracy))
            if accuracy < self.threshold and entry is None:
                fresh = dict(id=prompt_id, reference=reference, accuracy=accuracy, step=step, visits=[])
                self.entries.append(fresh)
                self.admitted.append(accuracy)
            if accuracy >= self.threshold and entry is not None:
                self.entries.remove(entry)
                self.graduated.append(entry["accuracy"])
                self.visits_of_graduated.append(len(entry["visits"]))
        while len(self.entries) > self.capacity:
            entry = self.entries.pop(0)
            self.evicted.append(entry["accuracy"])
            self.visits_of_evicted.append(len(entry["visits"]))
            if max([accuracy for _, accuracy in entry["visits"]], default=0) > entry["accuracy"]:
                self.visits_of_improved.append(len(entry["visits"]))

    def as_entries(self):
        return [
            BufferEntry(e["id"], e["reference"], e["accuracy"], e["step"], tuple(e["visits"])) for e in self.entries
        ]


class BufferMachine(RuleBasedStateMachine):
    """Updates, draws and reloads in any order; a copy that was saved and loaded must go on as the original does."""

    weights = "uniform"

    def __init__(self):
        super().__init__()
        self.buffer = self.empty(seed=3)
        self.model = ListBuffer(4, 0.5)
        self.step = 0

    def empty(self, seed):
        return PromptReplayBuffer(4, 0.5, seed, self.weights)

    @rule(outcomes=OUTCOMES)
    def update(self, outcomes):
        self.step += 1
        before = self.model.as_entries()
        rows = [(prompt_id, accuracy, f"row-{prompt_id}-{self.step}") for prompt_id, accuracy in outcomes]
        report = self.buffer.update(self.step, rows)
        self.model.update(self.step, rows)
        inside = {entry.prompt_id for entry in before}
        hard = [prompt_id for prompt_id, accuracy in outcomes if accuracy < 0.5]
        assert [e.prompt_id for e in report.admitted] == [i for i in hard if i not in inside]
        assert [e.prompt_id for e in report.graduated] == [
            i for i, accuracy in outcomes if accuracy >= 0.5 and i in inside
        ]
        assert all(e.visits[-1][0] == self.step for e in report.graduated)
        left = {e.prompt_id for e in report.graduated + report.evicted}
        assert left == (inside | set(hard)) - {e.prompt_id for e in self.buffer}
        queue = [e.prompt_id for e in before] + [i for i in hard if i not in inside]
        graduated = {e.prompt_id for e in report.graduated}
        queue = [i for i in queue if i not in graduated]
        assert [e.prompt_id for e in report.evicted] == queue[: max(len(queue) - 4, 0)]

    @rule(k=st.integers(0, 6), exclude=st.sets(st.sampled_from([*IDS, "unknown"])))
    def sample(self, k, exclude):
        allowed = [entry for entry in self.model.as_entries() if entry.prompt_id not in exclude]
        drawn = self.buffer.sample(k, exclude)
        assert len({entry.prompt_id for entry in drawn}) == len(drawn) == min(k, len(allowed))
        assert all(entry in allowed for entry in drawn)

    @rule()
    def save_and_load(self):
        state = pickle.loads(pickle.dumps(self.buffer.state_dict()))
        copy = self.empty(seed=99)
        copy.load_state_dict(state)
        ahead = self.empty(seed=98)
        ahead.load_state_dict(state)
        # The one goes on in place of the original, the other is played ahead beside a third.
        third = self.empty(seed=97)
        third.load_state_dict(self.buffer.state_dict())
        for step in range(3):
            outcomes = [(prompt_id, (step + n) % 3 / 4, 0) for n, prompt_id in enumerate(IDS)]
            assert ahead.sample(3) == third.sample(3)
            assert ahead.update(100 + step, outcomes) == third.update(100 + step, outcomes)
            assert ahead.metrics() == third.metrics()
        assert copy.sample(2) == self.buffer.sample(2)
        self.buffer = copy

    @invariant()
    def same_entries_and_counts(self):
        entries = self.model.as_entries()
        assert list(self.buffer) == entries and len(self.buffer) == len(entries) <= 4
        assert all((i in self.buffer) == (self.model.find(i) is not None) for i in IDS)
        metrics = self.buffer.metrics()
        model = {
            "admissions": self.model.admitted,
            "graduations": self.model.graduated,
            "evictions": self.model.evicted,
            "size": [entry.entry_accuracy for entry in entries],
        }
        for name, accuracies in model.items():
            assert metrics[name] == len(accuracies)
            by_accuracy = {k.split("_")[1]: v for k, v in metrics.items() if k.startswith(f"{name}/from_")}
            assert {k: v for k, v in by_accuracy.items() if v} == Counter(f"{a:.3f}" for a in accuracies)
        for name, model in (
            ("graduations", self.model.visits_of_graduated),
            ("evictions", self.model.visits_of_evicted),
            ("evictions_improved", self.model.visits_of_improved),
        ):
            by_visits = {int(k.rsplit("_")[-1]): v for k, v in metrics.items() if k.startswith(f"{name}/after_")}
            assert {k: v for k, v in by_visits.items() if v} == Counter(min(n, 16) for n in model)
        gone = len(self.model.graduated) + len(self.model.evicted)
        assert metrics["graduation_rate"] == (len(self.model.graduated) / gone if gone else 0)
        visits = [len(entry.visits) for entry in entries]
        assert metrics["mean_visits"] == (sum(visits) / len(visits) if visits else 0)
        assert metrics["oldest_age"] == (self.step - entries[0].entry_step if entries else 0)


TestBuffer = BufferMachine.TestCase
TestEntryAccuracy = type("EntryAccuracy", (BufferMachine,), {"weights": "entry_accuracy"}).TestCase
TestVisits = type("Visits", (BufferMachine,), {"weights": "visits"}).TestCase
for case, examples in ((TestBuffer, 60), (TestEntryAccuracy, 30), (TestVisits, 30)):
    case.settings = settings(max_examples=examples, stateful_step_count=30, deadline=None)


def filled(size, seed=0, capacity=100):
    buffer = PromptReplayBuffer(capacity, 0.5, seed)
    buffer.update(1, [(f"q{i}", 0.0, i) for i in range(size)])
    return buffer


def test_draws_are_uniform_without_replacement_also_beside_excluded_ones():
    buffer = filled(8)
    counts = Counter(frozenset(e.prompt_id for e in buffer.sample(2, ["q1", "q6", "new"])) for _ in range(6000))
    assert len(counts) == 15 and not any({"q1", "q6"} & pair for pair in counts)
    # 400 expected for each of the 15 pairs, standard deviation 19.
    assert all(300 < count < 500 for count in counts.values())


def test_the_same_question_hard_again_keeps_its_place_and_its_entry():
    buffer = PromptReplayBuffer(2, 0.5, 0)
    buffer.update(1, [("a", 0.125, "row")])
    buffer.update(2, [("b", 0.0, "row b"), ("a", 0.25, "another row")])
    assert next(iter(buffer)) == BufferEntry("a", "row", 0.125, 1, ((2, 0.25),))
    report = buffer.update(3, [("c", 0.0, "row c")])
    assert [e.prompt_id for e in report.evicted] == ["a"]
    assert "a" not in buffer


def test_a_question_that_comes_back_after_it_left_is_a_new_entry():
    buffer = filled(1)
    buffer.update(2, [("q0", 0.5, 0)])
    buffer.update(7, [("q0", 0.25, 0)])
    assert [*buffer] == [BufferEntry("q0", 0, 0.25, 7, ())]


@pytest.mark.parametrize(("capacity", "threshold"), [(0, 0.5), (-1, 0.5), (1, 0.0), (1, 1.1), (1, float("nan"))])
def test_limits_out_of_range_are_errors(capacity, threshold):
    with pytest.raises(ReplayBufferError, match=r"capacity|threshold"):
        PromptReplayBuffer(capacity, threshold, 0)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (("x", 1.5, 0), "accuracy 1.5"),
        (("x", -0.1, 0), "accuracy -0.1"),
        (("x", float("nan"), 0), "accuracy nan"),
        (("new", 0.0, 0), "'new' occurs twice"),
        ((1.5, 0.0, 0), "prompt id is a string or an integer, not float"),
        (("x", 0.0, None), "reference is a string or an integer, not NoneType"),
    ],
)
def test_a_bad_outcome_is_an_error_and_changes_nothing(outcome, message):
    buffer = filled(2)
    before = buffer.state_dict()
    with pytest.raises(ReplayBufferError, match=message):
        buffer.update(2, [("new", 0.0, 0), outcome])
    assert buffer.state_dict() == before


def test_a_negative_draw_is_an_error():
    with pytest.raises(ReplayBufferError, match="-1"):
        filled(2).sample(-1)


def test_numpy_ids_and_references_become_plain():
    buffer = PromptReplayBuffer(5, 0.5, 0)
    buffer.update(1, [(np.int64(3), np.float32(0.25), np.int32(9)), (np.str_("x"), 0.0, np.str_("y"))])
    assert list(buffer) == [BufferEntry(3, 9, 0.25, 1, ()), BufferEntry("x", "y", 0.0, 1, ())]
    assert {type(e.prompt_id) for e in buffer} == {type(e.reference) for e in buffer} == {int, str}
    assert type(next(iter(buffer)).entry_accuracy) is float


def test_the_state_passes_through_torch_without_unpickling_code(tmp_path):
    buffer = filled(20)
    buffer.update(2, [("q3", 0.125, 3), ("q4", 1.0, 4)])
    torch.save(buffer.state_dict(), tmp_path / "buffer.pt")
    loaded = PromptReplayBuffer(100, 0.5, 5)
    loaded.load_state_dict(torch.load(tmp_path / "buffer.pt", weights_only=True))
    assert loaded.state_dict() == buffer.state_dict() and loaded.sample(9) == buffer.sample(9)


def damaged(**changes):
    state = filled(3).state_dict()
    return {key: value for key, value in (state | changes).items() if value is not ...}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (damaged(random=...), r"lacks \['random'\]"),
        (damaged(extra=1), r"unknown \['extra'\]"),
        (damaged(version=2), "version 2"),
        (damaged(capacity=7), "saved with capacity 7, but this buffer has 100; .* zppo.replay.capacity=7"),
        (damaged(threshold=0.25), "threshold 0.25"),
        (damaged(ids=pack(["q0", "q1"])), "damaged: columns"),
        (damaged(ids=pack(["q0", "q1", "q1"])), "damaged: columns"),
        (damaged(ids={"kind": "zip", "data": b""}), "unknown kind 'zip'"),
        (damaged(entry_step=b"123"), "damaged"),
        (damaged(entry_accuracy=None), "not NoneType"),
        (damaged(newer=np.array([1, 2, 0], "i").tobytes()), "order of admission"),
        (damaged(newer=np.array([1, 0, -1], "i").tobytes()), "order of admission"),
        (damaged(newer=np.array([1, 3, -1], "i").tobytes()), "order of admission"),
        (damaged(newer=np.array([-1, -1, -1], "i").tobytes()), "order of admission"),
        (damaged(visits={"q9": [(1, 0.5)]}), "not in the buffer"),
        (damaged(random=(3, (1, 2), None)), "damaged"),
        (damaged(by_accuracy=None), "damaged"),
        (damaged(by_accuracy={}), "damaged"),
        (damaged(by_visits={"graduations": {}}), "damaged"),
        (damaged(weights="visits"), "saved with weights visits, .* has uniform; .* set zppo.replay.weights=visits"),
    ],
)
def test_a_state_that_does_not_fit_is_an_error_and_changes_nothing(state, message):
    buffer = filled(5, seed=8)
    before = buffer.state_dict()
    with pytest.raises(ReplayBufferError, match=message):
        buffer.load_state_dict(state)
    assert buffer.state_dict() == before


@given(st.one_of(st.lists(st.integers()), st.lists(st.text()), st.lists(st.one_of(st.integers(), st.text()))))
def test_packed_columns_come_back_equal(values):
    assert unpack(pickle.loads(pickle.dumps(pack(values)))) == values


@pytest.mark.parametrize(
    "packed",
    [
        {},
        {"kind": "list", "data": 3},
        {"kind": "int", "data": [1]},
        {"kind": "str", "data": b"ab", "lengths": bytes(8)},
        {"kind": "str", "lengths": bytes(8)},
    ],
)
def test_what_was_not_packed_is_an_error(packed):
    with pytest.raises(ValueError, match="packed"):
        unpack(packed)


def test_many_visits_are_counted_together():
    buffer = PromptReplayBuffer(3, 0.5, 0)
    buffer.update(0, [("a", 0.0, 0), ("b", 0.0, 0), ("c", 0.0, 0)])
    for step in range(1, 40):
        buffer.update(step, [("a", float(step == 16), 0)] * (step <= 16) + [("b", float(step == 39), 0)])
    buffer.update(40, [("d", 0.0, 0), ("e", 0.0, 0), ("f", 0.0, 0)])
    after = {key: value for key, value in buffer.metrics().items() if "/after_" in key}
    assert after == {
        "graduations/after_0": 0,
        "evictions/after_0": 1,
        "evictions_improved/after_0": 0,
        "graduations/after_16": 2,
        "evictions/after_16": 0,
        "evictions_improved/after_16": 0,
    }
    loaded = PromptReplayBuffer(3, 0.5, 1)
    loaded.load_state_dict(buffer.state_dict())
    assert loaded.metrics() == buffer.metrics()


def test_a_step_costs_the_same_at_a_hundred_times_the_size():
    """Ratio of times, best of several: an O(size) scan anywhere would show as a factor near 100."""

    def best(size):
        buffer = PromptReplayBuffer(size, 0.5, 0)
        buffer.update(0, [(i, 0.0, i) for i in range(size)])
        rng, times = random.Random(0), []
        for step in range(1, 12):
            start = time.process_time()
            replayed = buffer.sample(100, exclude=range(100))
            rows = [(e.prompt_id, rng.choice([0.0, 1.0]), 0) for e in replayed]
            buffer.update(step, rows + [(size + step * 400 + n, 0.0, n) for n in range(400)])
            buffer.metrics()
            times.append(time.process_time() - start)
        return min(times)

    assert best(300_000) < 10 * best(3_000)
