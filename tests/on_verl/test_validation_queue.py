"""Prompts whose validation failed are left out of the means, and counted."""

import pytest
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

from recipe.zppo.on_verl import validation_queue as validation
from recipe.zppo.on_verl.validation_queue import ValidationQueue
from recipe.zppo.run.metrics import validation_counts

UIDS = ["right", "wrong", "right_too", "half", "too_long", "no_verdict", "silent"]
EXPECTED = {("bills", uid): 2 for uid in UIDS}
SAMPLES = [("right", 1.0)] * 2 + [("wrong", 0.0)] * 2 + [("right_too", 1.0)] * 2 + [("half", 1.0)]
"""The others, and the second of ``half``, gave no response."""


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> ValidationQueue:
    """After a validation of `UIDS`."""
    tags = {uid: {"is_prompt": True, "status": "finished", "global_steps": 0} for uid in UIDS}
    tags["half"] |= {"status": "failure", "error": "ActorUnavailableError: connection reset"}
    tags["too_long"] |= {"status": "failure", "error": "PromptTooLongError: 9 tokens"}
    tags["no_verdict"] |= {"status": "failure", "error": "JudgeError: no verdict"}
    more = {f"more_{i}": {"is_prompt": True, "status": "finished", "global_steps": 0} for i in range(5)}
    monkeypatch.setattr(validation.tq, "kv_list", lambda *partition: {"val": tags | more})
    monkeypatch.setattr(ReplayBuffer, "_materialize_batch", lambda *args: None)
    tags["silent"] |= {"status": "failure"}
    queue = object.__new__(ValidationQueue)
    queue.unjudged, queue.failed = set(), set()
    queue.failure_keys = {"val": {"half", "too_long", "no_verdict", "silent"}}
    queue._materialize_batch("val", [*UIDS, *more], {})
    return queue


def samples() -> tuple:
    uids, scores = map(list, zip(*SAMPLES, strict=True))
    infos = {"reward": scores, "acc": scores, "answer": ["5"] * len(scores)}
    return ["bills"] * len(uids), uids, infos, [2] * len(uids), EXPECTED


def test_verl_counts_a_failed_prompt_as_wrong() -> None:
    """Why `measured` is there."""
    metrics = PPOTrainer._val_metrics_update(None, *samples())
    assert metrics["val-core/bills/acc/mean@2"] == pytest.approx(2.5 / 7)


def test_failed_prompts_are_left_out(queue: ValidationQueue) -> None:
    measured = queue.measured(*samples())
    metrics = PPOTrainer._val_metrics_update(None, *measured)
    assert metrics["val-core/bills/acc/mean@2"] == pytest.approx(2 / 3)
    assert not any("mean@1" in name for name in metrics)
    sources, uids, *_, expected = measured
    assert validation_counts(sources, uids, expected) == {"zppo/validation/bills/questions": 3}


def test_failed_prompts_are_counted_once_a_validation(queue: ValidationQueue) -> None:
    assert queue.failures(judged=False) == {"zppo/validation/failed": 4}
    assert queue.failures(judged=True) == {"zppo/validation/failed": 4, "zppo/validation/unjudged": 1}
    queue.begin()
    assert queue.failures(judged=True) == {"zppo/validation/failed": 0, "zppo/validation/unjudged": 0}
    assert queue.measured(*samples()) == samples()
