"""Ids and lengths of the training prompts."""

import pandas as pd
import pytest
from omegaconf import OmegaConf
from verl.utils.dataset.rl_dataset import collate_fn

from recipe.zppo.errors import CheckpointError, DataError
from recipe.zppo.on_verl.dataset import ZPPODataset
from recipe.zppo.on_verl.questions import QuestionSource
from recipe.zppo.prompts import CLOSER
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.world.tokenizer import build_tokenizer


def row(question: str, **extra) -> dict:
    return {
        "data_source": "test",
        "prompt": [{"role": "user", "content": question}],
        "reward_model": {"style": "rule", "ground_truth": "1"},
        **extra,
    }


def dataset(tmp_path, rows, max_prompt_length=32) -> ZPPODataset:
    path = tmp_path / "rows.parquet"
    pd.DataFrame(rows).to_parquet(path)
    config = {
        "max_prompt_length": max_prompt_length,
        "filter_overlong_prompts": True,
        "filter_overlong_prompts_workers": 1,
        "cache_dir": str(tmp_path),
    }
    return ZPPODataset(str(path), build_tokenizer(), OmegaConf.create(config))


def test_ids_come_from_the_column(tmp_path):
    data = dataset(tmp_path, [row("a+b=?", prompt_id=7), row("b+c=?", prompt_id=9)])
    assert data.prompt_ids == ["7", "9"]
    assert (data[1]["prompt_id"], data[1]["row"]) == ("9", 1)


def test_without_a_column_ids_are_of_the_content_and_unique(tmp_path):
    rows = [row("a+b=?"), row("b+c=?"), row("a+b=?")]
    first, again = dataset(tmp_path, rows), dataset(tmp_path, rows[::-1])
    assert len(set(first.prompt_ids)) == 3
    assert set(first.prompt_ids) == set(again.prompt_ids)
    assert first.prompt_ids[1] == again.prompt_ids[1]


def test_ids_of_one_file_do_not_name_the_rows_of_another(tmp_path):
    pd.DataFrame([row("a+b=?", prompt_id="x")]).to_parquet(tmp_path / "with.parquet")
    pd.DataFrame([row("b+c=?"), row("c+d=?")]).to_parquet(tmp_path / "without.parquet")
    files = [str(tmp_path / name) for name in ("with.parquet", "without.parquet")]
    config = {"max_prompt_length": 32, "filter_overlong_prompts_workers": 1, "cache_dir": str(tmp_path)}
    joined = ZPPODataset(files, build_tokenizer(), OmegaConf.create(config))
    assert joined.prompt_ids == ["x", *ZPPODataset(files[1], build_tokenizer(), OmegaConf.create(config)).prompt_ids]


def test_a_row_is_named_by_its_file(tmp_path):
    for name in ("a", "b"):
        rows = [row(f"{name}+{i}=?") for i in range(3)] + [row("a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q+r+s=?")] + [row(name)]
        pd.DataFrame(rows).to_parquet(tmp_path / f"{name}.parquet")
    files = [str(tmp_path / f"{name}.parquet") for name in ("a", "b")]
    config = {"max_prompt_length": 32, "filter_overlong_prompts_workers": 1, "cache_dir": str(tmp_path)}
    data = ZPPODataset(files, build_tokenizer(), OmegaConf.create(config))
    places = [data.place_of(i) for i in range(len(data))]
    assert places == [f"{file} row {number}" for file in files for number in (0, 1, 2, 4)]
    few = ZPPODataset(files, build_tokenizer(), OmegaConf.create(config | {"shuffle": True, "seed": 1}), max_samples=4)
    for i in range(len(few)):
        assert few.place_of(i) == places[[data[j]["raw_prompt"] for j in range(len(data))].index(few[i]["raw_prompt"])]


def test_a_row_needs_no_data_source(tmp_path):
    without = {key: value for key, value in row("a+b=?").items() if key != "data_source"}
    assert dataset(tmp_path, [without])[0]["data_source"] == "unknown"
    both = dataset(tmp_path, [without, row("b+c=?")])
    assert [both[i]["data_source"] for i in range(2)] == ["unknown", "test"]


def test_duplicate_ids_are_refused_in_training_data_only(tmp_path):
    data = dataset(tmp_path, [row("a+b=?", prompt_id="x"), row("b+c=?", prompt_id="x")])
    with pytest.raises(DataError, match="duplicate prompt ids"):
        QuestionSource(data, [])
    with pytest.raises(DataError, match=r"^data\.custom_cls: list has no prompt_ids; derive it from "):
        QuestionSource([], [])


def test_a_replayed_question_is_the_row_itself_and_changed_data_are_noticed(tmp_path):
    data = dataset(tmp_path, [row("a+b=?", prompt_id="x"), row("b+c=?", prompt_id="y")])
    source = QuestionSource(data, [collate_fn([data[0]])])
    buffer = PromptReplayBuffer(4, 0.5, 0)
    buffer.update(1, [("y", 0.0, 1), ("x", 0.0, 0)])
    questions, num_new = source.next_step(buffer, 2)
    assert [(q.prompt_id, q.row, q.replayed) for q in questions] == [("x", 0, False), ("y", 1, True)]
    assert num_new == 1
    assert questions[1].messages == [{"role": "user", "content": "b+c=?"}]
    with pytest.raises(CheckpointError, match="the data files changed"):
        source.get("y", 0, True)
    with pytest.raises(CheckpointError, match="the data files changed"):
        source.get("y", 5, True)


def test_a_prompt_that_comes_twice_in_a_batch_is_one_new_question(tmp_path):
    data = dataset(tmp_path, [row("a+b=?", prompt_id="x"), row("b+c=?", prompt_id="y")])
    source = QuestionSource(data, [collate_fn([data[0], data[1], data[0]])])
    questions, num_new = source.next_step(PromptReplayBuffer(4, 0.5, 0), 0)
    assert [question.prompt_id for question in questions] == ["x", "y"] and num_new == 2


def test_length_counts_the_closer_and_what_is_dropped_is_counted(tmp_path):
    rows = [row("a+b=?", prompt_id="short"), row("a+b+c+d+e+f+g=?", prompt_id="long")]
    tokenizer = build_tokenizer()
    plain = [{"role": "user", "content": f"a+b=?\n\n{CLOSER.text}"}]
    ids = tokenizer.apply_chat_template(plain, add_generation_prompt=True, tokenize=True, return_dict=False)
    exact = dataset(tmp_path, rows, max_prompt_length=len(ids))
    assert (exact.prompt_ids, exact.num_dropped) == (["short"], 1)
    with pytest.raises(DataError, match=f"max_prompt_length={len(ids) - 1}"):
        dataset(tmp_path, rows, max_prompt_length=len(ids) - 1)
