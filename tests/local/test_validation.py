"""Validation leaves out a question that does not fit the context or fails, and counts it, as on verl's back end."""

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recipe.cpu.hf_decoding import Decoding
from recipe.zppo.errors import RolloutError
from recipe.zppo.world.paths import WorldPaths


@pytest.fixture
def validated(world: WorldPaths, tmp_path: Path, train):
    """The metrics of a validation on the world's first questions, of which these places are too long."""

    def run(number: int, too_long: set[int], *changes: str) -> dict:
        rows = pq.read_table(world.val_file).to_pylist()[:number]
        for place in too_long:
            rows[place]["prompt"][-1]["content"] *= 100
        file = tmp_path / f"{len(too_long)}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), file)
        trainer = train(
            *("method=grpo", f"data.val_files={file}", "data.filter_overlong_prompts=false"),
            *("trainer.val_only=true", "trainer.val_before_train=true"),
            *("actor_rollout_ref.rollout.val_kwargs.do_sample=false", "actor_rollout_ref.rollout.val_kwargs.n=2"),
            *changes,
            folder=file.stem,
        )
        (metrics,) = trainer.metrics().values()
        return {name: value for name, value in metrics.items() if "val" in name}

    return run


def test_a_question_over_the_context_is_left_out_and_counted(validated, caplog) -> None:
    of_two = validated(2, set())
    assert of_two["zppo/validation/failed"] == 0
    assert validated(3, {2}) == of_two | {"zppo/validation/failed": 1}
    assert "validation: 1 of 3 prompts failed, the first: prompt of " in caplog.text


def test_a_response_that_fails_costs_its_question_alone(validated, monkeypatch, caplog) -> None:
    """Responses are generated one by one here, and the memory is gone at the last."""
    prefill, begun = Decoding._prefill, itertools.count(1)

    def failing(*args: Any) -> Any:
        if next(begun) == 6:
            raise MemoryError("all taken")
        return prefill(*args)

    monkeypatch.setattr(Decoding, "_prefill", failing)
    metrics = validated(3, set(), "actor_rollout_ref.rollout.max_num_seqs=1")
    questions = sum(value for name, value in metrics.items() if name.endswith("/questions"))
    assert (metrics["zppo/validation/failed"], questions) == (1, 2)
    said = "validation: 1 of 3 prompts failed, the first: generating 1 responses failed: MemoryError('all taken')"
    assert said in caplog.text


def test_a_validation_of_which_most_failed_ends_the_run(validated) -> None:
    with pytest.raises(RolloutError, match=r"^validation: 2 of 3 prompts failed: prompt of \d+ tokens and a response"):
        validated(3, {0, 2})
