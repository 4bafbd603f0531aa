"""A run that validates on benchmarks beside its own files."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recipe.zppo.config.compose import compose
from recipe.zppo.local.run import launch
from recipe.zppo.world.paths import WorldPaths
from tests.local.conftest import overrides, read_metrics
from tests.run.conftest import room_for


def test_the_same_questions_have_the_same_accuracy(
    world: WorldPaths, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """As a data file, by the reward function, and as a benchmark, by its own rule; decoding is greedy.

    A disk without room for the benchmark's file is said in one line before.
    """
    rows = pq.read_table(world.val_file).to_pylist()[:24]
    own = tmp_path / "own.parquet"
    pq.write_table(pa.Table.from_pylist([row | {"prompt_id": f"own-{i}"} for i, row in enumerate(rows)]), own)
    copy = tmp_path / "data" / "opencompass" / "AIME2025"
    for config, some in (("AIME2025-I", rows[:12]), ("AIME2025-II", rows[12:])):
        lines = [
            {"question": row["prompt"][-1]["content"], "answer": row["reward_model"]["ground_truth"]} for row in some
        ]
        (copy / config).mkdir(parents=True)
        (copy / config / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    folder = tmp_path / "run"
    changes = [
        f"data.val_files={own}",
        "data.val_max_samples=-1",
        "actor_rollout_ref.rollout.val_kwargs.do_sample=false",
        "actor_rollout_ref.rollout.val_kwargs.n=1",
        "zppo.validation.presence_penalty=0",
        "zppo.evaluate.benchmarks=[AIME25]",
        f"zppo.evaluate.data={tmp_path / 'data'}",
        "trainer.val_only=true",
        "trainer.val_before_train=true",
    ]
    with room_for(100):
        assert launch(compose(overrides(world, folder, *changes))) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("zppo: ") and "File too large" in said and "AIME25-200.parquet" in said
    assert launch(compose(overrides(world, folder, *changes))) == 0
    (metrics,) = read_metrics(folder).values()
    sources = {row["data_source"] for row in rows}
    counts = {source: metrics[f"zppo/validation/{source}/questions"] for source in (*sources, "eval/AIME25")}
    assert counts["eval/AIME25"] == 24 == sum(counts[source] for source in sources)
    right = {source: counts[source] * metrics[f"val-core/{source}/acc/mean@1"] for source in counts}
    assert 0 < right["eval/AIME25"] < 24 and right["eval/AIME25"] == sum(right[source] for source in sources)
    assert pq.read_metadata(folder / "benchmarks" / "AIME25-200.parquet").num_rows == 24
    started = json.loads((folder / "starts.jsonl").read_text())
    assert [Path(file["file"]).name for file in started["data"]["val_files"]] == ["own.parquet", "AIME25-200.parquet"]
