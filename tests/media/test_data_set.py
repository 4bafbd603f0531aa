"""The data set with images: files of several forms together, lengths with image tokens, rows that can't be read."""

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf
from verl.utils import hf_processor, hf_tokenizer

from recipe.zppo.benchmarks.validation_rows import COLUMN
from recipe.zppo.errors import DataError
from recipe.zppo.media import parts as media
from recipe.zppo.on_verl.dataset import ZPPODataset
from recipe.zppo.prompts import CLOSER, with_closer
from tests.media.pictures import picture, png, row


@pytest.fixture(scope="module")
def processor(qwen3_5_path):
    return hf_processor(str(qwen3_5_path))


@pytest.fixture
def load(tmp_path, qwen3_5_path, processor):
    def load(*files, sees: bool = True, **config) -> ZPPODataset:
        config = {
            "max_prompt_length": 512,
            "filter_overlong_prompts": True,
            "filter_overlong_prompts_workers": 1,
            "cache_dir": str(tmp_path),
        } | config
        tokenizer = hf_tokenizer(str(qwen3_5_path))
        most = config.pop("max_samples", -1)
        return ZPPODataset(
            [str(file) for file in files],
            tokenizer,
            OmegaConf.create(config),
            processor=processor if sees else None,
            max_samples=most,
        )

    return load


def parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def shown(data: ZPPODataset, index: int) -> list[bytes]:
    """The pixels of a row's images."""
    images, _ = media.extract(data[index]["raw_prompt"], 8)
    return [image.tobytes() for image in images or []]


def test_files_of_every_form_go_together(load, tmp_path):
    """Bytes, paths, the type `Image` of Hugging Face data sets, JSON lines, text without the column."""
    picture(4).save(tmp_path / "four.png")
    path = row("path", "<image>?") | {"images": [{"bytes": None, "path": str(tmp_path / "four.png")}]}
    typed = datasets.Dataset.from_list([row("typed", "<image>?") | {"images": [picture(5)]}])
    typed.cast_column("images", datasets.List(datasets.Image())).to_parquet(tmp_path / "typed.parquet")
    lines = datasets.Dataset.from_list([row("lines", "<image>?") | {"images": [str(tmp_path / "four.png")]}])
    lines.to_json(tmp_path / "lines.jsonl")
    data = load(
        parquet(tmp_path / "bytes.parquet", [row("bytes", "a<image>?", [picture(3)]), row("none", "1+1=?", [])]),
        parquet(tmp_path / "path.parquet", [path]),
        tmp_path / "typed.parquet",
        tmp_path / "lines.jsonl",
        parquet(tmp_path / "text.parquet", [row("text", "2+2=?")]),
    )
    assert data.prompt_ids == ["bytes", "none", "path", "typed", "lines", "text"]
    want = [[picture(3)], [], [picture(4)], [picture(5)], [picture(4)], []]
    assert [shown(data, i) for i in range(6)] == [[image.tobytes() for image in images] for images in want]
    assert data[5]["raw_prompt"] == [{"role": "user", "content": "2+2=?"}]
    assert all("images" not in data[i] for i in range(6))


def test_a_column_of_single_pictures(load, tmp_path):
    """Of the type `Image`, or bytes and path, alone and beside lists; null is a row of text."""
    rows = [{**row("a", "<image>?"), "images": picture(1)}, {**row("t", "what is <image>?"), "images": None}]
    typed = datasets.Dataset.from_list(rows).cast_column("images", datasets.Image())
    typed.to_parquet(tmp_path / "typed.parquet")
    untyped = {**row("b", "<image>?"), "images": {"bytes": png(picture(2)), "path": None}}
    files = [tmp_path / "typed.parquet", parquet(tmp_path / "untyped.parquet", [untyped])]
    alone = load(files[0])
    assert [shown(alone, i) for i in range(2)] == [[picture(1).tobytes()], []]
    assert alone[1]["raw_prompt"][0]["content"] == "what is <image>?"
    lists = parquet(tmp_path / "lists.parquet", [row("c", "<image><image>?", [picture(3), picture(4)])])
    data = load(*files, lists)
    expected = [[picture(1)], [], [picture(2)], [picture(3), picture(4)]]
    assert [shown(data, i) for i in range(4)] == [[image.tobytes() for image in images] for images in expected]
    with pytest.raises(DataError, match="row has 1 image"):
        load(parquet(tmp_path / "bad.parquet", [untyped | {"prompt": [{"role": "user", "content": "no place"}]}]))


def test_a_plain_question_with_its_picture_under_names_of_the_users_own(load, tmp_path):
    pictures = [picture(1), None]
    table = {"question": ["What is it?", "1+1=?"], "image": pictures, "answer": [3, 2]}
    typed = datasets.Dataset.from_dict(table).cast_column("image", datasets.Image())
    typed.to_parquet(tmp_path / "own.parquet")
    names = {"prompt": "question", "images": "image", "answer": "answer"}
    data = load(tmp_path / "own.parquet", columns=names)
    assert [shown(data, i) for i in range(2)] == [[picture(1).tobytes()], []]
    assert data[0]["raw_prompt"][0]["content"][1] == {"type": "text", "text": "\nWhat is it?"}
    assert data[1]["raw_prompt"] == [{"role": "user", "content": "1+1=?"}]
    assert [data[i]["reward_model"]["ground_truth"] for i in range(2)] == [3, 2]


def test_what_a_row_carries_is_the_file_not_the_pixels(load, tmp_path):
    encoded = png(picture(3, (200, 200)))
    data = load(parquet(tmp_path / "a.parquet", [row("a", "<image>?", [picture(3, (200, 200))])]))
    assert data[0]["raw_prompt"][0]["content"][0] == {"type": "image", "image": encoded}


def test_the_tokens_of_images_and_of_the_closer_count(load, tmp_path, processor):
    file = parquet(tmp_path / "a.parquet", [row("image", "<image>?", [picture(3, (64, 64))]), row("text", "??", [])])
    (message,) = with_closer(media.place([{"role": "user", "content": "<image>?"}], [picture(3, (64, 64))], []))
    text = processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
    length = processor(text=[text], images=[picture(3, (64, 64))], return_tensors="pt")["input_ids"].shape[1]
    assert length > 16 + len(processor.tokenizer.encode(CLOSER.text))
    fits = load(file, max_prompt_length=length)
    assert (fits.prompt_ids, fits.num_dropped) == (["image", "text"], 0)
    shorter = load(file, max_prompt_length=length - 1)
    assert (shorter.prompt_ids, shorter.num_dropped) == (["text"], 1)


def test_images_are_fitted_into_the_limits_of_the_run_and_the_rows_own_come_first(load, tmp_path):
    own = row("own", "<image>?") | {"images": [{"bytes": png(picture(3, (64, 64))), "path": None, "max_pixels": 1024}]}
    rows = [own] + [
        row(name, "<image>?", [picture(3, size)]) for name, size in (("small", (16, 32)), ("big", (90, 80)))
    ]
    data = load(parquet(tmp_path / "a.parquet", rows), min_pixels=2048, max_pixels=4096)
    sizes = [media.extract(data[i]["raw_prompt"], 8)[0][0].size for i in range(3)]
    assert sizes == [(32, 32), (32, 64), (67, 60)]


def test_a_benchmarks_images_have_the_papers_size_whatever_the_limits_of_the_run(load, tmp_path):
    question = {COLUMN: "{}"}
    rows = [row("mine", "<image>?", [picture(3, (90, 80))]), row("its", "<image>?", [picture(3, (90, 80))]) | question]
    data = load(*(parquet(tmp_path / f"{each['prompt_id']}.parquet", [each]) for each in rows), max_pixels=4096)
    assert [media.extract(data[i]["raw_prompt"], 8)[0][0].size for i in range(2)] == [(67, 60), (90, 80)]


def test_a_bad_row_stops_the_run_instead_of_vanishing(load, tmp_path):
    rows = [row(f"q{i}", "<image>?", [picture(i)]) for i in range(70)]
    rows[68]["images"][0]["bytes"] = rows[68]["images"][0]["bytes"][:60]
    rows[69]["images"] = []
    with pytest.raises(DataError, match=r"row 68 \(q68\): image 1 \(60 bytes\) can't be read.*\(2 such row"):
        load(parquet(tmp_path / "a.parquet", rows))


def test_without_the_filter_the_row_is_named_when_it_is_drawn(load, tmp_path):
    rows = [row("good", "<image>?", [picture(1)]), row("bad", "<image><image>?", [picture(1)])]
    data = load(parquet(tmp_path / "a.parquet", rows), filter_overlong_prompts=False)
    assert data[0]["row"] == 0
    with pytest.raises(DataError, match=r"row 1 \(bad\): the prompt has more <image> placeholders"):
        data[1]


def test_a_picture_that_the_processor_refuses_is_named(load, tmp_path):
    """Qwen's processors take no aspect ratio above 200."""
    with pytest.raises(DataError, match=r"row 1 \(thin\): absolute aspect ratio"):
        load(parquet(tmp_path / "a.parquet", [row("b", "?", []), row("thin", "<image>?", [picture(1, (2100, 10))])]))


def test_a_model_of_text_and_data_with_images(load, tmp_path):
    file = parquet(tmp_path / "a.parquet", [row("t", "1+1=?", []), row("a", "<image>?", [picture(1)])])
    with pytest.raises(DataError, match=r"row 1 \(a\): .* actor_rollout_ref.model.path has no processor"):
        load(file, sees=False)
    text = load(parquet(tmp_path / "b.parquet", [row("t", "what is <image> in HTML?")]), sees=False)
    assert text[0]["raw_prompt"][0]["content"] == "what is <image> in HTML?"


def test_audio_is_refused(load, tmp_path):
    with pytest.raises(DataError, match="audio is not supported"):
        load(parquet(tmp_path / "a.parquet", [row("a", "<audio>?") | {"audios": ["a.wav"]}]))


def test_columns_that_do_not_go_together(load, tmp_path):
    first = parquet(tmp_path / "a.parquet", [row("a", "?") | {"extra_info": {"index": 1}}])
    second = parquet(tmp_path / "b.parquet", [row("b", "?") | {"extra_info": "text"}])
    with pytest.raises(DataError, match=r"do not go together: .*extra_info"):
        load(first, second)


def test_samples_are_the_first_rows_or_a_seeded_draw(load, tmp_path):
    file = parquet(tmp_path / "a.parquet", [row(f"q{i}", "?") for i in range(20)])
    assert load(file, max_samples=3).prompt_ids == ["q0", "q1", "q2"]
    drawn = load(file, max_samples=5, shuffle=True, seed=1).prompt_ids
    assert len(set(drawn)) == 5 and drawn == load(file, max_samples=5, shuffle=True, seed=1).prompt_ids
    assert drawn != load(file, max_samples=5, shuffle=True, seed=2).prompt_ids


def test_video_rows(load, tmp_path):
    frames = [{"bytes": png(picture(i, (32, 32))), "path": None} for i in range(3)]
    data = load(parquet(tmp_path / "a.parquet", [row("a", "<video>?", videos=[{"video": frames, "fps": 1.0}])]))
    _, ((tensor, metadata),) = media.extract(data[0]["raw_prompt"], 8)
    assert tensor.shape == (3, 3, 32, 32)
    assert metadata["fps"] == 1.0
