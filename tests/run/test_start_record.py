"""What a run was started with can be read from its folder."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from recipe.zppo.errors import ConfigError
from recipe.zppo.run.start_record import STARTS, record_start
from tests.composed import compose


@pytest.fixture
def config(tmp_path: Path) -> DictConfig:
    (tmp_path / "train.parquet").write_bytes(b"x" * 3_000_000)
    return compose(
        [
            "platform=cpu",
            f"data.train_files=[{tmp_path}/train.parquet,hdfs://far/away.parquet]",
            f"trainer.default_local_dir={tmp_path}/run",
        ]
    )


def starts(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / STARTS).read_text().splitlines()]


def test_each_start_adds_a_line_and_a_configuration(config: DictConfig, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "x", "data.train_files=a b"])
    record_start(config)
    config.data.train_batch_size = 7
    (tmp_path / "train.parquet").write_bytes(b"x" * 2_999_999 + b"y")
    record_start(config)
    first, second = starts(tmp_path / "run")
    assert first["command"] == "python -m x 'data.train_files=a b'"
    composed = [yaml.safe_load((tmp_path / "run" / line["config"]).read_text()) for line in (first, second)]
    assert [each["data"]["train_batch_size"] for each in composed] == [384, 7]
    assert composed[0]["actor_rollout_ref"]["actor"]["ppo_mini_batch_size"] == 384  # resolved
    local, remote = first["data"]["train_files"]
    assert local["bytes"] == 3_000_000 and remote == {"file": "hdfs://far/away.parquet"}
    assert local["hash_of_ends"] != second["data"]["train_files"][0]["hash_of_ends"]
    assert first["packages"]["verl"] == "0.9.1" and set(first["code"]) == {"commit", "changed"}


def test_half_a_line_of_a_killed_start_costs_no_other(config: DictConfig, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / STARTS).write_bytes('{"command": "\u00e9'.encode()[:-1])
    record_start(config)
    half, whole = (tmp_path / "run" / STARTS).read_bytes().splitlines()
    assert json.loads(whole)["config"] == "config_2.yaml" and half.startswith(b'{"command"')


def test_where_the_model_was(config: DictConfig, tmp_path: Path, monkeypatch) -> None:
    """Read from another folder, a relative path would be a name on the hub."""
    (tmp_path / "models" / "own").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for path in ("models/own", "Qwen/Qwen3.5-2B"):
        config.actor_rollout_ref.model.path = path
        record_start(config)
    found = [line["model"] for line in starts(tmp_path / "run")]
    assert found == [{"path": str(tmp_path / "models/own")}, {"path": "Qwen/Qwen3.5-2B"}]


def test_keys_are_blotted_out(config: DictConfig, tmp_path: Path, monkeypatch) -> None:
    variable = "ray_kwargs.ray_init.runtime_env.env_vars.WANDB_API_KEY"
    argument = "reward.custom_reward_function.reward_kwargs.api_key"
    for key in (variable, argument):
        OmegaConf.update(config, key, "abc123", force_add=True)
    given = ["python", f"+{variable}='abc123'", f"+{argument}=abc123", "trainer.val_before_train=false"]
    monkeypatch.setattr(sys, "orig_argv", given)
    record_start(config)
    assert OmegaConf.select(config, variable) == OmegaConf.select(config, argument) == "abc123"
    (line,) = starts(tmp_path / "run")
    assert line["command"] == f"python '+{variable}=***' '+{argument}=***' trainer.val_before_train=false"
    for file in (tmp_path / "run").iterdir():
        assert "abc123" not in file.read_text() and "***" in file.read_text()


def test_a_folder_that_can_not_be_written_to(config: DictConfig, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file in its place")
    with pytest.raises(
        ConfigError, match=r"^trainer.default_local_dir: \S+/run can't be written to \(.*\); name another"
    ):
        record_start(config)
