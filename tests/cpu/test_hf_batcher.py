"""Requests that arrive together are generated together, and nobody waits for ever."""

import threading
import time

import pytest

from recipe.cpu.hf_batcher import Batcher, BatcherConfig
from recipe.cpu.hf_generator import Request, Response
from recipe.cpu.hf_sampling import SamplingParams


def request(prompt: int = 4, budget: int = 4) -> Request:
    return Request([9] * prompt, SamplingParams(1.0, 1.0, 0, budget))


class Recorder:
    """Stands in for the model: records batches, waits where told, fails where told."""

    def __init__(self):
        self.batches: list[list[Request]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: BaseException | None = None
        self.started = threading.Event()

    def generate(self, requests, aborted):
        self.batches.append(list(requests))
        self.started.set()
        while not self.gate.wait(0.01):
            if aborted():
                return [Response([1], None, aborted=True) for _ in requests]
        if self.error is not None:
            raise self.error
        return [Response([len(r.prompt_ids)], None, aborted=False) for r in requests]


@pytest.fixture
def model():
    return Recorder()


@pytest.fixture
def make(model):
    made = []

    def make(**config):
        made.append(Batcher(model, BatcherConfig(**config)))
        return made[-1]

    yield make
    model.gate.set()
    for batcher in made:
        batcher.close(5)


def busy(batcher: Batcher, model: Recorder):
    """A request that the model works on until its gate is opened."""
    model.gate.clear()
    running = batcher.submit(request())
    assert model.started.wait(5)
    return running


def test_what_arrives_together_is_one_batch_and_late_arrivals_the_next(make, model):
    batcher = make(quiet_s=0.05)
    model.gate.clear()
    first = [batcher.submit(request(i + 1)) for i in range(15)]
    assert model.started.wait(5)
    late = [batcher.submit(request(i + 1)) for i in range(3)]
    model.gate.set()
    assert [f.result(5).token_ids for f in first] == [[i + 1] for i in range(15)]
    assert [f.result(5).token_ids for f in late] == [[1], [2], [3]]
    assert [len(b) for b in model.batches] == [15, 3]


def test_a_steady_trickle_does_not_hold_a_batch_back(make, model):
    batcher = make(quiet_s=0.2, gather_s=0.3)
    first = batcher.submit(request())
    for _ in range(20):
        if first.done():
            break
        time.sleep(0.05)
        batcher.submit(request())
    assert first.result(5).token_ids == [4]
    assert len(model.batches[0]) < 20


def test_batches_are_bounded_by_rows_and_by_padded_tokens(make, model):
    rows = make(max_seqs=8)
    for future in [rows.submit(request()) for _ in range(20)]:
        future.result(5)
    assert max(len(b) for b in model.batches) == 8
    model.batches.clear()
    tokens = make(max_padded_tokens=60)  # rows x (longest prompt + largest budget)
    for future in [tokens.submit(request(n, 10)) for n in (5, 5, 5, 40, 200, 5)]:
        future.result(5)
    sizes = [[len(r.prompt_ids) for r in b] for b in model.batches]
    assert sizes == [[5, 5, 5, 5], [40], [200]]  # one that exceeds the bound by itself still runs


def test_long_prompts_do_not_share_a_batch_with_short_ones(make, model):
    batcher = make(quiet_s=0.05)
    lengths = [200, 10, 12, 190, 20, 300]
    futures = [batcher.submit(request(n)) for n in lengths]
    assert [f.result(5).token_ids for f in futures] == [[n] for n in lengths]
    assert [[len(r.prompt_ids) for r in b] for b in model.batches] == [[200, 190, 300], [10, 12, 20]]


def test_a_failing_batch_fails_its_requests_only(make, model):
    batcher = make()
    model.error = ValueError("bad row")
    with pytest.raises(RuntimeError, match="bad row") as caught:
        batcher.submit(request()).result(5)
    assert caught.value.__cause__ is model.error
    model.error = None
    assert batcher.submit(request()).result(5).token_ids == [4]


def test_when_the_thread_dies_everyone_learns_the_cause(make, model):
    batcher = make(max_seqs=1)
    model.error = SystemExit("killed")
    running = busy(batcher, model)
    waiting, job = batcher.submit(request()), batcher.run(lambda: None)
    batcher._jobs.rotate()  # the job waits behind the batch that dies
    model.gate.set()
    for future in (running, waiting, job):
        with pytest.raises(RuntimeError, match="killed"):
            future.result(5)
    batcher._thread.join(5)
    with pytest.raises(RuntimeError, match="killed"):
        batcher.submit(request())
    with pytest.raises(RuntimeError, match="killed"):
        batcher.run(lambda: None)


def test_jobs_run_between_batches_and_their_errors_are_theirs(make, model):
    batcher = make()
    running = busy(batcher, model)
    job = batcher.run(lambda: "swapped")
    assert not job.done()
    model.gate.set()
    assert job.result(5) == "swapped" and running.done()
    with pytest.raises(ZeroDivisionError):
        batcher.run(lambda: 1 / 0).result(5)
    assert batcher.submit(request()).result(5).token_ids == [4]


def test_abort_ends_what_runs_and_what_waits(make, model):
    batcher = make(max_seqs=1)
    running = busy(batcher, model)
    waiting = batcher.submit(request())
    assert batcher.abort() == 2
    assert (running.result(5).aborted, running.result().token_ids) == (True, [1])
    assert (waiting.result(5).aborted, waiting.result().token_ids) == (True, [])
    model.gate.set()
    assert not batcher.submit(request()).result(5).aborted


def test_a_caller_that_gave_up_does_no_harm(make, model):
    batcher = make(max_seqs=1)
    model.gate.clear()
    first, second = batcher.submit(request()), batcher.submit(request())
    assert model.started.wait(5)
    assert first.cancel() and second.cancel()
    model.gate.set()
    assert batcher.submit(request()).result(5).token_ids == [4]


def test_closed_batcher_fails_what_waits(make, model):
    batcher = make(quiet_s=10, gather_s=10)
    waiting = batcher.submit(request())
    batcher.close(5)
    with pytest.raises(RuntimeError, match="closed"):
        waiting.result(5)
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(request())
