"""Columns under names of the user's own: the checks and the data set make the same of them."""

import pytest
from omegaconf import OmegaConf

from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.columns import Columns
from recipe.zppo.on_verl.row_files import load_frame
from recipe.zppo.preflight.data_files import check_training_files
from tests.on_verl.test_joined_files import load, row, write

QUESTION = [{"role": "user", "content": "1+1=?"}]
OWN = {"prompt": "question", "answer": "gold", "data_source": "set"}


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"question": "1+1=?", "gold": "2", "set": "own"}, {"data_source": "own"}),
        ({"question": QUESTION, "gold": ["2"]}, {"reward_model": {"style": "rule", "ground_truth": ["2"]}}),
        ({"question": "1+1=?", "gold": {"ground_truth": "2"}}, {"reward_model": {"ground_truth": "2"}}),
        ({"question": "1+1=?", "gold": "2", "prompt": "another", "x": 1}, {"x": 1}),
        ({"prompt": "1+1=?", "reward_model": "2"}, {}),
        ({"prompt": "1+1=?", "reward_model": {"ground_truth": "2"}}, {"reward_model": {"ground_truth": "2"}}),
    ],
)
def test_a_row_and_a_file_become_the_same(tmp_path, written: dict, expected: dict, ending: str) -> None:
    file = tmp_path / f"own.{ending}"
    write(file, [written, written])
    columns = Columns({"columns": OWN})
    expected = {"prompt": QUESTION, "reward_model": {"style": "rule", "ground_truth": "2"}} | expected
    assert columns.row(written) == expected
    assert columns.frame(load_frame(str(file))).to_list() == [expected] * 2
    assert load(file, columns=OWN)[1]["raw_prompt"] == QUESTION
    data = OmegaConf.create({"train_files": str(file), "prompt_key": "prompt", "columns": OWN})
    assert check_training_files(data, "prompt_id", judge_route=None) == 2


def test_files_of_both_kinds_go_together(tmp_path) -> None:
    own, ours = tmp_path / "own.parquet", tmp_path / "ours.parquet"
    write(own, [{"question": "1+1=?", "gold": 2, "prompt_id": "own"}])
    write(ours, [row("ours", 1)])
    data = load(own, ours, columns=OWN)
    assert [data[i]["reward_model"]["ground_truth"] for i in range(2)] == ["2", "2"]
    assert data[0]["raw_prompt"] == QUESTION and data.prompt_ids == ["own", "ours1"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"gold": "2"}, "data.columns.prompt: {file} has no column 'question', nor 'prompt'; it has gold"),
        ({"question": "q", "a": "2"}, "data.columns.answer: {file} has no column 'gold', nor 'reward_model'; it has "),
        ({"question": " ", "gold": "2"}, "data.train_files: {file} row 0 has no question"),
        ({"question": "q", "gold": None}, "data.train_files: {file} row 0 has no answer (reward_model.ground_truth is"),
    ],
)
def test_what_is_missing_is_named_by_the_users_own_name(tmp_path, written: dict, message: str) -> None:
    file = tmp_path / "own.parquet"
    write(file, [written])
    data = OmegaConf.create({"train_files": str(file), "prompt_key": "prompt", "columns": OWN})
    with pytest.raises(ConfigError) as error:
        check_training_files(data, "prompt_id", judge_route=None)
    assert str(error.value).startswith(message.format(file=file))


def test_system_messages_of_null_are_none(tmp_path) -> None:
    file, system = tmp_path / "system.parquet", {"role": "system", "content": None}
    write(
        file,
        [row("a", 1, prompt=[system, *QUESTION]), row("b", 1, prompt=[system | {"content": "Be brief."}, *QUESTION])],
    )
    data = load(file)
    assert [len(data[i]["raw_prompt"]) for i in range(2)] == [1, 2]
    config = OmegaConf.create({"train_files": str(file), "prompt_key": "prompt"})
    assert check_training_files(config, "prompt_id", judge_route=None) == 2
    write(file, [row("a", 1), row("b", 1, prompt=[{"role": "user", "content": None}, *QUESTION])])
    with pytest.raises(ConfigError, match=r"row 1 has no content in message 0 of prompt \(null; only a system message"):
        check_training_files(config, "prompt_id", judge_route=None)
