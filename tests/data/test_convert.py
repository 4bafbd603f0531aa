"""Data that verl's users have, in the schemas of its usual copies; and that what comes out can be trained on."""

import datetime
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf
from verl.utils import hf_processor, hf_tokenizer

from recipe.zppo import prompts
from recipe.zppo.data import convert, zppo_77k
from recipe.zppo.data.budget import PromptCounter, counter
from recipe.zppo.errors import DataError
from recipe.zppo.media import parts as media
from recipe.zppo.on_verl.dataset import ZPPODataset
from recipe.zppo.preflight.data_files import check_training_files, check_validation_files
from tests.data.conftest import CELL, MESSAGE, mmfr_row, picture, vero_row, write_mmfinereason, write_vero


def run(*arguments: str) -> int:
    return convert.main(list(arguments))


def converted(name: str, source: Path, out: Path, *arguments: str) -> Path:
    assert run(f"name={name}", f"source={source}", f"out={out}", *arguments) == 0
    return out


def rows(path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def write(path, columns: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def refusal(capfd, *arguments: str) -> str:
    assert run(*arguments) == 2
    (line,) = capfd.readouterr().err.splitlines()
    return line


def test_gsm8k(tmp_path, capfd):
    questions = ["How many clips?", "How much is it? Let's think step by step.", "Why?", "How many clips?"]
    answers = ["She sold 48/2 = <<48/2=24>>24.\n#### 1,024", "So it is 5.\n#### $5", "no mark", "one.\n#### 1,024"]
    write(tmp_path / "src" / "main" / "train-00000-of-00001.parquet", {"question": questions, "answer": answers})
    write(tmp_path / "src" / "main" / "test-00000-of-00001.parquet", {"question": ["a?"], "answer": ["#### -3"]})
    train = rows(converted("gsm8k", tmp_path / "src", tmp_path / "out") / "train.parquet")
    assert [row["reward_model"]["ground_truth"] for row in train] == ["1024", "5"]
    assert [row["prompt"][0]["content"] for row in train] == ["How many clips?", "How much is it?"]
    assert rows(tmp_path / "out" / "test.parquet")[0]["reward_model"]["ground_truth"] == "-3"
    said = capfd.readouterr().out
    counts = "2 rows; dropped: duplicate 1, no_answer 1; directives taken off 1 question(s)"
    assert f"{tmp_path / 'out' / 'train.parquet'}: {counts}" in said


def verl_row(answer, **more) -> dict:
    prompt = [{"role": "user", "content": f"Which is {answer}?"}]
    return {"data_source": "mine", "prompt": prompt, "reward_model": {"style": "rule", "ground_truth": answer}, **more}


def test_answers_in_jsonl_stay_the_texts_that_they_are(tmp_path, capfd):
    """Arrow makes timestamps of the dates, and floats of large numbers, as `datasets` would in a run."""
    answers = ["2024-01-31", "2024-02-01T10:00:00Z", 2**70, 3, 2.5, ["1"], float("nan"), ["1", "2"], "", None]
    source = tmp_path / "src" / "mine.jsonl"
    source.parent.mkdir()
    source.write_text("\n".join(json.dumps(verl_row(answer)) for answer in answers) + "\n")
    out = converted("verl", source, tmp_path / "out", "check_answers=false") / "mine.parquet"
    kept = ["2024-01-31", "2024-02-01T10:00:00Z", str(2**70), "3", "2.5", "1"]
    assert [row["reward_model"]["ground_truth"] for row in rows(out)] == kept
    assert "6 rows; dropped: no_answer 4" in capfd.readouterr().out
    data = OmegaConf.create({"train_files": str(out), "prompt_key": "prompt"})
    assert check_training_files(data, "prompt_id", judge_route=None) == 6


def test_a_json_list_whose_rows_have_other_columns(tmp_path):
    source = tmp_path / "src" / "mine.json"
    source.parent.mkdir()
    source.write_text(json.dumps([verl_row("1"), verl_row("2", ability="math")]))
    out = converted("verl", source, tmp_path / "out") / "mine.parquet"
    assert [row["ability"] for row in rows(out)] == [None, "math"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"prompt": []}\n{oops', "mine.jsonl: line 2 is not JSON: "),
        ('[{"prompt": []}, oops', "mine.jsonl is not JSON: "),
        ("[1]", "mine.jsonl: row 0 is not an object with columns"),
        ('[{"a": 1}, {"a": "b"}]', "mine.jsonl: its rows don't fit one table: "),
        ('{"prompt": []}', "mine.jsonl: column reward_model is missing"),
    ],
)
def test_json_that_is_no_table(tmp_path, capfd, text, message):
    (tmp_path / "mine.jsonl").write_text(text)
    source, out = tmp_path / "mine.jsonl", tmp_path / "out"
    said = refusal(capfd, "name=verl", f"source={source}", f"out={out}")
    assert message in said and said.count("mine.jsonl") == 1


def test_answers_of_other_types_are_dropped_by_name(tmp_path, capfd):
    """A date was a text once, and nobody knows in which form."""
    day, source = datetime.date(2024, 1, 31), tmp_path / "src" / "mine.parquet"
    source.parent.mkdir()
    pq.write_table(pa.Table.from_pylist([verl_row(day), verl_row(day)]), source)
    message = refusal(capfd, "name=verl", f"source={source}", f"out={tmp_path / 'out'}")
    assert message.endswith("mine.parquet: no row is left: answer_is_date 2")
    write(tmp_path / "math" / "train.parquet", {"problem": ["a?", "b?"], "answer": [day, day]})
    message = refusal(capfd, "name=math", f"source={tmp_path / 'math'}", f"out={tmp_path / 'out'}")
    assert message.endswith("no row is left: no_answer 2")


def test_math_with_solutions_or_answers(tmp_path):
    columns = {
        "problem": ["What is $1/2$?", "Find $x$.", "Prove it."],
        "level": ["Level 5", "Level 1", "Level ?"],
        "type": ["Algebra"] * 3,
        "solution": ["It is not $\\boxed{2}$ but $\\boxed{\\frac{1}{2}}$.", "$x=\\boxed{3}$", "Clear."],
    }
    write(tmp_path / "a" / "train.parquet", columns)
    found = rows(converted("math", tmp_path / "a", tmp_path / "out") / "train.parquet")
    assert [row["reward_model"]["ground_truth"] for row in found] == ["\\frac{1}{2}", "3"]
    assert json.loads(found[0]["extra_info"]["metadata"]) == {"level": "Level 5", "type": "Algebra"}
    write(tmp_path / "b" / "test.parquet", {"problem": ["Find y."], "answer": ["4"], "subject": ["Geometry"]})
    (found,) = rows(converted("math", tmp_path / "b" / "test.parquet", tmp_path / "out") / "test.parquet")
    assert found["reward_model"]["ground_truth"] == "4"


@pytest.mark.parametrize("typed", [False, True])
def test_geometry3k(tmp_path, typed):
    images = [[{"bytes": picture(), "path": "1.png"}], [{"bytes": b"bad", "path": None}], []]
    problems = ["<image>Find x.", "<image>Find y.", "<image>Find z."]
    columns = {"images": images, "problem": problems, "answer": ["3 \\sqrt { 2 }", "4", "5"]}
    (tmp_path / "src").mkdir()
    data = datasets.Dataset(pa.table(columns | {"images": pa.array(images, pa.list_(CELL))}))
    if typed:  # as on the hub: the schema's metadata say that these are images
        data = data.cast_column("images", datasets.List(datasets.Image()))
    data.to_parquet(tmp_path / "src" / "validation-00000-of-00001.parquet")
    (row,) = rows(converted("geometry3k", tmp_path / "src", tmp_path / "out") / "validation.parquet")
    assert row["images"] == [{"bytes": picture(), "path": None}]
    assert row["reward_model"]["ground_truth"] == "3 \\sqrt { 2 }" and row["data_source"] == "geometry3k"


def verl_columns() -> dict:
    texts = ["<image>How many? " + prompts.CLOSER.text, "<image>And now?", "no placeholder"]
    texts += ["<image>Empty?", "<image>Odd?"]
    system = {"role": "system", "content": "You are helpful."}
    messages = [[system, {"role": "user", "content": text}] for text in [*texts, texts[1]]]
    truths = ["3", "4", "5", "", "\\frac{", "4"]
    return {
        "data_source": ["mine"] * 6,
        "prompt": pa.array(messages, pa.list_(MESSAGE)),
        "images": pa.array([[{"bytes": picture(), "path": None}]] * 6, pa.list_(CELL)),
        "reward_model": [{"style": "rule", "ground_truth": truth} for truth in truths],
        "extra_info": [{"index": index, "note": "kept"} for index in range(6)],
        "difficulty": [0.5] * 6,
    }


def test_any_verl_file_keeps_what_it_has(tmp_path, capfd):
    write(tmp_path / "src" / "mine.parquet", verl_columns())
    source, out = tmp_path / "src" / "mine.parquet", tmp_path / "out"
    first, second = rows(converted("verl", source, out) / "mine.parquet")
    said = capfd.readouterr().out
    assert (
        "2 rows; dropped: duplicate 1, no_answer 1, placeholders 1, ungradable_answer 1; directives taken off 1" in said
    )
    assert first["prompt"][0]["content"] == "You are helpful."
    assert first["prompt"][1]["content"] == "<image>How many?"
    assert first["extra_info"] == {"index": 0, "note": "kept"} and first["difficulty"] == 0.5
    assert second["prompt"][1]["content"] == "<image>And now?"
    assert first["prompt_id"] != second["prompt_id"] and first["prompt_id"].startswith("mine-")
    lax = converted("verl", source, tmp_path / "lax", "check_answers=false", "strip_directives=false")
    lax = rows(lax / "mine.parquet")
    assert [row["reward_model"]["ground_truth"] for row in lax] == ["3", "4", "\\frac{"]
    assert lax[0]["prompt"][1]["content"].endswith(prompts.CLOSER.text)
    # Converted again, the ids stay.
    assert rows(converted("verl", out / "mine.parquet", tmp_path / "again") / "mine.parquet") == [first, second]


def with_ids(ids: pa.Array) -> dict:
    texts = [f"How many? {number}" for number in range(len(ids))]
    return {
        "prompt": pa.array([[{"role": "user", "content": text}] for text in texts], pa.list_(MESSAGE)),
        "prompt_id": ids,
        "reward_model": [{"style": "rule", "ground_truth": "3"}] * len(ids),
    }


@pytest.mark.parametrize("kind", ["string", "large_string", "null", "dictionary"])
def test_ids_that_lack_are_written(tmp_path, kind):
    given = [None] * 3 if kind == "null" else ["mine", None, ""]
    types = {"null": pa.null(), "dictionary": pa.dictionary(pa.int32(), pa.string()), "large_string": pa.large_string()}
    write(tmp_path / "src" / "mine.parquet", with_ids(pa.array(given, types.get(kind, pa.string()))))
    found = rows(converted("verl", tmp_path / "src", tmp_path / "out") / "mine.parquet")
    ids = [row["prompt_id"] for row in found]
    assert len(set(ids)) == 3 and all(ids)
    assert kind == "null" or ids[0] == "mine"
    assert list(found[0]) == ["prompt", "prompt_id", "reward_model"]


def test_numbers_as_ids(tmp_path, capfd):
    write(tmp_path / "src" / "mine.parquet", with_ids(pa.array([5, 7], pa.int64())))
    found = rows(converted("verl", tmp_path / "src", tmp_path / "out") / "mine.parquet")
    assert [row["prompt_id"] for row in found] == [5, 7]
    write(tmp_path / "src" / "mine.parquet", with_ids(pa.array([5, None], pa.int64())))
    capfd.readouterr()
    said = refusal(capfd, "name=verl", f"source={tmp_path / 'src'}", f"out={tmp_path / 'new'}")
    assert said.startswith(f"error: source={tmp_path / 'src' / 'mine.parquet'}: prompt_id is empty in some rows, and a")
    assert "of type int64 can't hold the ids that we give; fill it, make it text, or take the column out" in said
    assert not list((tmp_path / "new").iterdir())


def test_extra_info_of_any_form(tmp_path):
    columns = with_ids(pa.array(["a", "b"])) | {"extra_info": ['{"index": 1}', "{}"]}
    write(tmp_path / "src" / "text.parquet", columns)
    prose = [{"style": "model", "ground_truth": "\\frac{"}] * 2
    typed = [{"answer_type": "free_form"}, {"answer_type": "rule"}]
    write(tmp_path / "src" / "typed.parquet", columns | {"extra_info": typed, "reward_model": prose})
    converted("verl", tmp_path / "src", tmp_path / "out")
    assert [row["extra_info"] for row in rows(tmp_path / "out" / "text.parquet")] == ['{"index": 1}', "{}"]
    assert [row["prompt_id"] for row in rows(tmp_path / "out" / "typed.parquet")] == ["a"]


def test_refusals(tmp_path, capfd, offline):
    out = f"out={tmp_path / 'out'}"
    assert refusal(capfd, out).startswith("error: name: needed; what the source is")
    assert refusal(capfd, "name=gsm").startswith("error: name: 'gsm' is not one of gsm8k, math, geometry3k, verl")
    assert "HF_HUB_OFFLINE is set" in refusal(capfd, "name=gsm8k", out)
    assert "source: needed with name=verl" in refusal(capfd, "name=verl", out)
    assert "does not exist" in refusal(capfd, "name=verl", out, f"source={tmp_path / 'no.parquet'}")
    write(tmp_path / "a" / "train.parquet", {"question": ["a"], "text": ["b"]})
    source = f"source={tmp_path / 'a'}"
    assert "column answer is missing; the set has question, text" in refusal(capfd, "name=gsm8k", out, source)
    assert "column problem is missing" in refusal(capfd, "name=geometry3k", out, source)
    missing = "column prompt is missing; the set has question, text"
    assert refusal(capfd, "name=verl", out, source) == f"error: {source}/train.parquet: {missing}"
    assert "that is where the source is" in refusal(capfd, "name=verl", source, f"out={tmp_path / 'a'}")
    write(tmp_path / "b" / "train.parquet", {"question": ["a"], "answer": ["b"]})
    said = refusal(capfd, "name=gsm8k", out, f"source={tmp_path / 'b'}")
    assert said == f"error: {tmp_path / 'out' / 'train.parquet'}: no row is left: no_answer 1"
    assert not list((tmp_path / "out").iterdir())
    (tmp_path / "c.parquet").write_text("x")
    assert "can't be read" in refusal(capfd, "name=verl", out, f"source={tmp_path / 'c.parquet'}")


def test_what_comes_out_can_be_trained_on(tmp_path, qwen2_vl_path):
    """The corpus, converted text and a converted verl file in one data set, checked as a run checks its files."""
    vero = write_vero(tmp_path / "vero", {"stem-tqa": [vero_row(number) for number in range(5)]})
    mmfr = write_mmfinereason(tmp_path / "mmfr", [mmfr_row(number, "MMR1") for number in range(4)])
    corpus = [f"vero={vero}", f"mmfinereason={mmfr}", f"out={tmp_path / 'corpus'}", f"processor={qwen2_vl_path}"]
    assert zppo_77k.main([*corpus, "workers=1", "rows_per_shard=4", "max_prompt_tokens=300"]) == 0
    write(tmp_path / "gsm" / "train.parquet", {"question": ["a + b"], "answer": ["#### 3"]})
    files = [str(path) for path in sorted((tmp_path / "corpus").glob("*.parquet"))]
    files.append(str(converted("gsm8k", tmp_path / "gsm", tmp_path / "text") / "train.parquet"))
    keys = {"prompt_key": "prompt", "max_prompt_length": 300, "cache_dir": str(tmp_path)}
    data = OmegaConf.create({"train_files": files, "val_files": files} | keys)
    assert check_training_files(data, "prompt_id", judge_route=None) == 10
    check_validation_files(data, judge_route=None)
    loaded = ZPPODataset(files, hf_tokenizer(str(qwen2_vl_path)), data, hf_processor(str(qwen2_vl_path)))
    assert len(loaded) == 10 and loaded.num_dropped == 0
    row = loaded[0]
    assert row["prompt_id"] == rows(files[0])[0]["prompt_id"]
    assert [part["type"] for part in row["raw_prompt"][0]["content"]] == ["image", "text"]
    assert loaded[9]["raw_prompt"] == [{"role": "user", "content": "a + b"}]
    assert row["extra_info"]["answer_type"] == "rule"
    # The builder's count is what the data set's filter finds, or more.
    count = counter(str(qwen2_vl_path)).count
    closer = len(loaded.tokenizer.encode("\n\n" + prompts.CLOSER.text, add_special_tokens=False))
    for entry in loaded.dataframe:
        images = [media.read_image(image) for image in entry["images"]]
        assert count(entry["prompt"][0]["content"], images) == loaded._num_tokens(entry) + closer


def test_columns_under_names_of_the_users_own_and_patterns(tmp_path, capfd):
    own = [{"q": "1+1=? Let's think step by step.", "gold": 2, "set": "s"}, {"q": "2+2=?", "gold": 4, "set": "s"}]
    for number, row in enumerate(own):
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / f"own-{number}.parquet")
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, own)))
    names = ["prompt=q", "answer=gold", "data_source=set"]
    for source in ("own-*.parquet", "own.jsonl"):
        converted("verl", tmp_path / source, tmp_path / "out", *names)
    files = [tmp_path / f"out/{name}.parquet" for name in ("own-0", "own-1", "own")]
    tables = [rows(file) for file in files]
    for found in (tables[0] + tables[1], tables[2]):
        assert [row["prompt"] for row in found] == [[{"role": "user", "content": text}] for text in ("1+1=?", "2+2=?")]
        assert [str(row["reward_model"]["ground_truth"]) for row in found] == ["2", "4"]
        assert {row["data_source"] for row in found} == {"s"} and all(row["prompt_id"] for row in found)
    capfd.readouterr()
    assert "no file is matched by" in refusal(capfd, "name=verl", f"source={tmp_path}/x*", f"out={tmp_path / 'out'}")


def test_no_file_is_written_over_another_one(tmp_path, capfd):
    a, b, out = tmp_path / "src" / "a", tmp_path / "src" / "b", tmp_path / "out"
    for folder in (a, b):
        write(folder / "train.parquet", {"prompt": ["1+1=?"], "reward_model": ["2"]})
    write(b / "val.parquet", {"prompt": ["1+1=?"], "reward_model": ["2"]})
    said = refusal(capfd, "name=verl", f"source={tmp_path}/src/*/train.parquet", f"out={out}")
    assert f"{a}/train.parquet and {b}/train.parquet would both become {out}/train.parquet" in said
    before = (b / "val.parquet").read_bytes()
    (b / "train.parquet").unlink()
    said = refusal(capfd, "name=verl", f"source={tmp_path}/src/*/*.parquet", f"out={b}")
    assert said.endswith("that is where the source is; give another folder")
    assert (b / "val.parquet").read_bytes() == before and not out.exists()


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_a_column_of_one_picture_each(tmp_path, ending):
    source = tmp_path / "src" / f"mine.{ending}"
    source.parent.mkdir()
    found = [{"prompt": "how wide?", "reward_model": "2", "picture": f"/pictures/{name}.png"} for name in "ab"]
    if ending == "parquet":
        found = [row | {"picture": {"bytes": picture(shade=n), "path": None}} for n, row in enumerate(found)]
        pq.write_table(pa.Table.from_pylist(found), source)
    else:
        source.write_text("\n".join(map(json.dumps, found)))
    first, second = rows(converted("verl", source, tmp_path / "out", "images=picture") / "mine.parquet")
    assert first["images"] == found[0]["picture"] and first["prompt"][0]["content"] == "<image>\nhow wide?"
    assert first["prompt_id"] != second["prompt_id"]


def test_a_column_that_no_file_has(tmp_path, capfd):
    write(tmp_path / "a.parquet", {"prompt": ["1+1=?"], "reward_model": ["2"]})
    for given in ("prompt=questoin", "images=pictures", "data_source=set", "answer=gold"):
        said = refusal(capfd, "name=verl", f"source={tmp_path}/a.parquet", f"out={tmp_path / 'out'}", given)
        assert said == f"error: {given}: no file has such a column; they have prompt, reward_model"


def test_without_network_the_hub_is_asked_once(tmp_path, capfd, closed_hub):
    why = "(the hub can't be reached ([Errno 111] Connection refused))"
    out = f"out={tmp_path}"
    assert f"source=openai/gsm8k (main): can't be had {why}" in refusal(capfd, "name=gsm8k", out)
    assert zppo_77k.main(["vero=far/away", "mmfinereason=null", "processor=null", out]) == 2
    assert f"vero=far/away: can't be had {why}" in capfd.readouterr().err
    with pytest.raises(DataError, match="processor=far/away: can't be loaded; give the folder of"):
        PromptCounter("far/away")
