"""A configuration that passes every check: a small data file and model folders that hold a config only."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
import yaml
from omegaconf import DictConfig, OmegaConf

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.settings import check_config
from tests.composed import compose

BATCH = 8


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A data row in verl's layout."""
    question = {
        "prompt_id": f"q{number}",
        "data_source": "test",
        "prompt": [{"role": "user", "content": f"What is {number} + 1?"}],
        "reward_model": {"style": "rule", "ground_truth": str(number + 1)},
    }
    return question | changes


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


class Run:
    """Overrides of a run that could start, to be spoilt by a test."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.data = write_rows(folder / "train.parquet", [row(i) for i in range(2 * BATCH)])
        self.student = self.model("student", max_position_embeddings=40_960)
        self.teacher = self.model("teacher", max_position_embeddings=40_960)

    def model(self, name: str, **config: Any) -> Path:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        (path / "config.json").write_text(json.dumps(config))
        return path

    def overrides(self, *changes: str) -> list[str]:
        return [
            f"data.train_files={self.data}",
            f"data.val_files={self.data}",
            f"data.train_batch_size={BATCH}",
            f"actor_rollout_ref.model.path={self.student}",
            f"zppo.teacher.path={self.teacher}",
            *changes,
        ]

    def config(self, *changes: str) -> DictConfig:
        config = compose()
        for override in self.overrides(*changes):
            key, _, value = override.partition("=")
            OmegaConf.update(config, key.lstrip("+"), yaml.safe_load(value), force_add=key.startswith("+"))
        return config

    def check(self, *changes: str) -> ZPPOConfig:
        return self.check_config(self.config(*changes))

    def check_config(self, config: DictConfig) -> ZPPOConfig:
        return check_config(config)

    def refused(self, *changes: str) -> str:
        """The message with which the run is refused: one line, and Ray is not started."""
        return self.refused_config(self.config(*changes))

    def refused_config(self, config: DictConfig) -> str:
        with pytest.raises(ConfigError) as error:
            self.check_config(config)
        assert "\n" not in str(error.value)
        assert not ray.is_initialized()
        return str(error.value)

    def check_case(self, changes: str, message: str, *nearest: str) -> None:
        """`changes`, apart by spaces, are refused with `message`, in which … is any text; those of `nearest` pass."""
        said = self.refused(*changes.format(run=self).split())
        assert re.fullmatch(".*".join(map(re.escape, message.format(run=self).split("…"))), said), said
        for passes in nearest:
            self.check(*passes.format(run=self).split())
