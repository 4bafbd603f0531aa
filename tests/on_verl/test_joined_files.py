"""Files of different writers as one data set."""

import json

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from recipe.zppo.errors import DataError
from recipe.zppo.on_verl.dataset import ZPPODataset
from recipe.zppo.on_verl.joined_files import common_features
from recipe.zppo.reward import gold_answer
from recipe.zppo.world.tokenizer import build_tokenizer
from tests.media.pictures import picture, png

TEXT, NUMBER, NOTHING = (datasets.Value(name) for name in ("string", "int64", "null"))


def row(name: str, number: int, **extra) -> dict:
    return {
        "data_source": "test",
        "prompt": [{"role": "user", "content": f"{number}+1=?"}],
        "reward_model": {"style": "rule", "ground_truth": str(number + 1)},
        "prompt_id": f"{name}{number}",
        **extra,
    }


def write(file, rows: list[dict]) -> None:
    if file.suffix == ".parquet":
        datasets.Dataset.from_list(rows).to_parquet(file)
    else:
        file.write_text("\n".join(map(json.dumps, rows)))


def load(*files, **config) -> ZPPODataset:
    config = {"max_prompt_length": 64, "filter_overlong_prompts": False, "cache_dir": str(files[0].parent), **config}
    return ZPPODataset([str(file) for file in files], build_tokenizer(), OmegaConf.create(config))


def test_pandas_and_datasets(tmp_path) -> None:
    """pandas 3 writes `large_string`; and each file has a field of its own in `extra_info`."""
    pandas, hugging_face = tmp_path / "pandas.parquet", tmp_path / "datasets.parquet"
    pd.DataFrame([row("p", i, extra_info={"index": i}) for i in range(3)]).to_parquet(pandas)
    datasets.Dataset.from_list([row("d", i, extra_info={"split": "x"}) for i in range(3)]).to_parquet(hugging_face)
    assert pq.read_schema(pandas).field("data_source").type == pa.large_string()
    assert pq.read_schema(hugging_face).field("data_source").type == pa.string()
    for files in ((pandas, hugging_face), (hugging_face, pandas)):
        data = load(*files)
        assert sorted(data.prompt_ids) == ["d0", "d1", "d2", "p0", "p1", "p2"]
        assert [data.dataframe[i]["reward_model"]["ground_truth"] for i in range(6)] == ["1", "2", "3"] * 2
        found = data.dataframe[data.prompt_ids.index("d1")]["extra_info"]
        assert found == {"index": None, "split": "x"}
        assert data[data.prompt_ids.index("p2")]["raw_prompt"] == [{"role": "user", "content": "2+1=?"}]


def test_pictures_of_large_columns(tmp_path) -> None:
    picture_bytes = png(picture(1))
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    images = [{"bytes": picture_bytes, "path": None}]
    datasets.Dataset.from_list([row("s", i, images=images) for i in range(2)]).to_parquet(small)
    table = pa.Table.from_pylist([row("l", i, images=images) for i in range(2)])
    kind = pa.large_list(pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())]))
    pq.write_table(table.set_column(4, "images", table.column("images").cast(kind)), large)
    for files in ((small, large), (large, small)):
        data = load(*files)
        assert [image["bytes"] for i in range(4) for image in data.dataframe[i]["images"]] == [picture_bytes] * 4


def test_equal_files_are_not_copied(tmp_path) -> None:
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for name, file in zip("ab", files, strict=True):
        pd.DataFrame([row(name, 1)]).to_parquet(file)
    assert common_features({str(file): load(file).dataframe.features for file in files}) == {}


def merged(*kinds):
    found = {f"{number}.parquet": datasets.Features(x=kind) for number, kind in enumerate(kinds)}
    return common_features(found).get("x")


def test_one_type_for_what_loses_nothing() -> None:
    values = {name: datasets.Value(name) for name in ("large_string", "string_view", "int32", "float32", "float64")}
    assert merged(values["large_string"], TEXT, values["string_view"]) == TEXT
    assert merged(values["int32"], NUMBER) == NUMBER
    assert merged(values["float32"], values["float64"]) == values["float64"]
    assert merged({"a": NOTHING}, {"a": TEXT}, {"b": NUMBER}) == {"a": TEXT, "b": NUMBER}
    assert merged(datasets.LargeList(values["large_string"]), datasets.List(TEXT)) == datasets.List(TEXT)
    assert merged(datasets.List(TEXT, length=1), datasets.List(TEXT)) == datasets.List(TEXT)
    assert merged(TEXT, TEXT) is None


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
@pytest.mark.parametrize("other", [{"a": {"b": [1]}}, [1], "text", [{"a": 1}], [[1]]])
def test_null_or_empty_in_one_file(tmp_path, other, ending: str) -> None:
    """At every depth: a column, a field of a struct, an item of a list."""
    for number, (left, right) in enumerate(
        [(None, other), ({"x": None}, {"x": other}), ({"x": [None]}, {"x": [other]}), ({"x": []}, {"x": [other]})]
    ):
        files = [tmp_path / f"{number}{side}.{ending}" for side in "lr"]
        for file, value, name in zip(files, (left, right), "lr", strict=True):
            write(file, [row(name, 1, extra_info=value)])
        for order in (files, files[::-1]):
            data = load(*order)
            found = {data.prompt_ids[i]: data.dataframe[i]["extra_info"] for i in range(2)}
            assert found == {"l1": left, "r1": right}


def test_an_empty_object_in_json(tmp_path) -> None:
    files = [tmp_path / "empty.jsonl", tmp_path / "full.jsonl"]
    write(files[0], [row("e", 1, extra_info={})])
    write(files[1], [row("f", 1, extra_info={"index": 3})])
    assert [load(*files)[i]["index"] for i in range(2)] == [None, 3]


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
@pytest.mark.parametrize(
    ("golds", "texts"),
    [
        (([3], ["4"]), ["3", "4"]),
        (([3], [0.5]), ["3", "0.5"]),
        (([3.0], ["a", None]), ["3.0", "a", None]),
        (([True], ["B"]), ["True", "B"]),
        (([[7]], [["x"]]), ["7", "x"]),
        (([[7]], ["x"], [2.5]), ["7", "x", "2.5"]),
    ],
)
def test_gold_answers_of_several_types_become_what_the_reward_compares(tmp_path, golds, texts, ending: str) -> None:
    files = []
    for number, values in enumerate(golds):
        files.append(tmp_path / f"{number}.{ending}")
        rows = [row(f"{number}", i, reward_model={"ground_truth": value}) for i, value in enumerate(values)]
        write(files[-1], rows)
        for value in values:
            assert value is None or gold_answer(value) in texts
    data = load(*files)
    assert [data.dataframe[i]["reward_model"]["ground_truth"] for i in range(len(data))] == texts


def test_gold_answers_of_several_types_in_one_json_file(tmp_path) -> None:
    file = tmp_path / "mixed.jsonl"
    write(file, [row("m", i, reward_model={"ground_truth": gold}) for i, gold in enumerate([3, "4", 2**70, None])])
    found = [load(file).dataframe[i]["reward_model"]["ground_truth"] for i in range(4)]
    assert found == ["3", "4", str(2**70), None]


def test_ids_of_numbers_and_of_text(tmp_path) -> None:
    files = [tmp_path / "numbers.parquet", tmp_path / "texts.parquet"]
    write(files[0], [row("", 1, prompt_id=7)])
    write(files[1], [row("", 2, prompt_id="x")])
    assert load(*files).prompt_ids == ["7", "x"]


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ((TEXT, NUMBER), "0.parquet and 1.parquet do not go together: x is string in one and int64 in the other; …"),
        (({"a": TEXT}, NUMBER), "x is a struct in one and int64 in the other"),
        (({"a": TEXT}, NOTHING, {"a": {"b": TEXT}}), "0.parquet and 2.parquet do not go together: x.a is string in"),
        ((datasets.List(TEXT), TEXT), "x is a list in one and string in the other"),
        ((NUMBER, datasets.Value("float64")), "x is int64 in one and float64 in the other"),
    ],
)
def test_what_would_lose_something_is_refused(kinds, message: str) -> None:
    with pytest.raises(DataError) as error:
        merged(*kinds)
    assert message.rstrip("…") in str(error.value)
