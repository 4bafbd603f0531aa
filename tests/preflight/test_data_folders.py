"""A folder among the data files stands for the files in it."""

import pytest
from omegaconf import OmegaConf

from recipe.zppo.data.parquet import write_rows
from recipe.zppo.data.rows import build_row
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.data_files import check_training_files
from recipe.zppo.preflight.data_folders import list_folders


def fill(folder, *names: str) -> str:
    for number, name in enumerate(names):
        write_rows(folder / name, [build_row(data_source="s", question="q", answer="1", prompt_id=f"{name}-{number}")])
    return str(folder)


def listed(train, val) -> tuple:
    data = OmegaConf.create({"train_files": train, "val_files": val})
    OmegaConf.set_struct(data, True)
    list_folders(data)
    return OmegaConf.to_container(data.train_files) if not isinstance(data.train_files, str) else train, data.val_files


def test_folders_are_listed_in_order(tmp_path):
    folder = fill(tmp_path / "a", "train-1.parquet", "train-0.parquet", "test.parquet", "report.parquet")
    shards = [f"{folder}/train-0.parquet", f"{folder}/train-1.parquet"]
    assert listed(folder, folder) == (shards, [f"{folder}/test.parquet"])
    own = fill(tmp_path / "b", "mine.parquet") + "/mine.parquet"
    fill(tmp_path / "a", "val.parquet")
    assert listed([own, folder], folder) == ([own, *shards], [f"{folder}/val.parquet"])
    assert listed(own, None) == (own, None)
    assert listed("hdfs://x/y", own) == ("hdfs://x/y", own)
    data = OmegaConf.create({"train_files": folder, "val_files": own, "prompt_key": "prompt"})
    list_folders(data)
    assert check_training_files(data, "prompt_id", judge_route=None) == 2


def test_a_folder_without_such_files(tmp_path):
    folder = fill(tmp_path, "mine.parquet")
    with pytest.raises(ConfigError, match=r"^data.val_files: the folder .* has no val\*.parquet or test\*.parquet$"):
        listed("x.parquet", folder)
    with pytest.raises(ConfigError, match=r"^data.train_files: the folder .* has no train\*.parquet$"):
        listed([folder], "x.parquet")


def test_every_row_of_every_shard_is_checked(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [build_row(data_source="s", question="q", answer="1", prompt_id=f"r{number}") for number in range(200)]
    write_rows(tmp_path / "train-0.parquet", rows[:130])
    rows[150]["reward_model"]["ground_truth"] = " "
    write_rows(tmp_path / "train-1.parquet", rows[130:])
    data = OmegaConf.create({"train_files": str(tmp_path), "prompt_key": "prompt"})
    list_folders(data)
    with pytest.raises(ConfigError, match=r"train-1.parquet row 20 has no answer .*; 1 such row"):
        check_training_files(data, "prompt_id", judge_route=None)
    rows[150]["reward_model"]["ground_truth"] = "2"
    rows[140]["prompt"][0]["content"] = ""
    pq.write_table(pa.Table.from_pylist(rows[130:]), tmp_path / "train-1.parquet")
    with pytest.raises(ConfigError, match=r"train-1.parquet row 10 has no question"):
        check_training_files(data, "prompt_id", judge_route=None)
    rows[140]["prompt"][0]["content"] = "q"
    rows[135]["prompt_id"] = "r3"
    write_rows(tmp_path / "train-1.parquet", rows[130:])
    with pytest.raises(ConfigError, match=r"row 5 repeats prompt_id=.r3. of row 3 of .*train-0.parquet"):
        check_training_files(data, "prompt_id", judge_route=None)
