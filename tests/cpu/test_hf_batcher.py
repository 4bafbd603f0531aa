"""Requests that arrive together enter together, and nobody waits for ever."""

import threading
import time

import pytest

from recipe.cpu.hf_batcher import Batcher, BatcherConfig
from recipe.cpu.hf_requests import Request, Response
from recipe.cpu.hf_sampling import SamplingParams


def request(prompt: int = 4, budget: int = 4) -> Request:
    return Request([9] * prompt, SamplingParams(1.0, 1.0, 0, budget))


class Recorder:
    """Stands in for the model and its session: answers all that has entered in one step, waits and fails where told."""

    def __init__(self):
        self.batches: list[list[Request]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: BaseException | None = None
        self.started = threading.Event()
        self.added = 0

    def session(self, **limits):
        self.limits, self.requests = limits, {}
        return self

    def add(self, request):
        self.added += 1
        self.requests[self.added] = request
        return self.added

    def forget(self, numbers):
        return {number for number in numbers if self.requests.pop(number, None)}

    def stop(self):
        requests, self.requests = self.requests, {}
        return {number: Response([1], None, aborted=True) for number in requests}

    def step(self, aborted):
        self.batches.append(list(self.requests.values()))
        self.started.set()
        while not self.gate.wait(0.01):
            if aborted():
                return self.stop()
        if self.error is not None:
            raise self.error
        requests, self.requests = self.requests, {}
        return {number: Response([len(r.prompt_ids)], None, aborted=False) for number, r in requests.items()}


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


def test_what_arrives_together_enters_together_and_late_arrivals_the_next_time(make, model):
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


def test_the_bounds_are_the_sessions(make, model):
    batcher = make(max_seqs=8, max_padded_tokens=60, quiet_s=10, gather_s=10)
    futures = [batcher.submit(request()) for _ in range(8)]  # full: no wait
    assert [future.result(5).token_ids for future in futures] == [[4]] * 8
    assert model.limits == {"max_seqs": 8, "max_tokens": 60}


def test_nobody_enters_before_a_call_that_waits(make, model):
    batcher = make()
    running = busy(batcher, model)
    job, late = batcher.run(lambda: len(model.batches)), batcher.submit(request())
    model.gate.set()
    assert (job.result(5), running.result(5).token_ids, late.result(5).token_ids) == (1, [4], [4])
    assert len(model.batches) == 2


def test_a_failing_model_fails_the_requests_that_it_has(make, model):
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


def test_jobs_run_while_no_request_does_and_their_errors_are_theirs(make, model):
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
