"""The data files, and what is kept apart."""

import dataclasses
import io
import random

import pandas as pd
import pytest
from PIL import Image

from recipe.zppo.picture_world.data import draw_splits, write_splits
from recipe.zppo.picture_world.documents import Corpus
from recipe.zppo.picture_world.drawing import FAMILIES, draw
from recipe.zppo.picture_world.processor import pictures
from recipe.zppo.picture_world.settings import PictureWorldSettings


@pytest.fixture(scope="module")
def splits(settings, names):
    return draw_splits(settings, names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_splits(PictureWorldSettings(train_questions=24, val_questions=12), folder)
    return folder


def test_no_picture_occurs_twice_and_held_out_ones_nowhere_else(settings, names, splits):
    assert {split: len(questions) for split, questions in splits.items()} == {
        "train": settings.train_questions,
        "val": settings.val_questions,
    }
    pixels = {split: {draw(q.scene).tobytes() for q in questions} for split, questions in splits.items()}
    assert sum(map(len, pixels.values())) == len(pixels["train"] | pixels["val"])
    assert sum(map(len, pixels.values())) == settings.train_questions + settings.val_questions
    corpus = Corpus(settings, names, random.Random(2))
    kinds = (corpus.student_plain, corpus.bcq, corpus.ncq, corpus.description)
    seen = {pictures(kind().messages)[0].tobytes() for kind in kinds for _ in range(200)}
    assert not seen & pixels["val"]
    assert all(question.scene.held_out() for question in splits["val"])
    assert not any(corpus.question().scene.held_out() for _ in range(300))


def test_splits_have_all_families_and_difficulties(splits, names):
    for questions in splits.values():
        for family in FAMILIES:
            assert sum(question.family == family for question in questions) > 0.25 * len(questions)
        levels = [names.level(question) for question in questions]
        assert 0.3 < levels.count(0) / len(levels) < 0.5 and levels.count(2) > 0


def test_rows_are_what_verl_reads(folder):
    frame = pd.concat(pd.read_parquet(folder / f"{split}.parquet") for split in ("train", "val"))
    assert frame["prompt_id"].is_unique
    for _, row in frame.iterrows():
        (message,) = row["prompt"]
        (image,) = row["images"]
        assert message["role"] == "user" and message["content"].count("<image>") == 1
        assert "boxed" not in message["content"]
        assert Image.open(io.BytesIO(image["bytes"])).size == (84, 84)
        assert row["reward_model"]["ground_truth"].isdigit() and row["extra_info"]["family"] == row["ability"]


def test_verl_puts_the_picture_into_the_message(folder, tmp_path, tokenizer):
    from omegaconf import OmegaConf

    from recipe.zppo.on_verl.dataset import ZPPODataset

    config = {"cache_dir": str(tmp_path), "filter_overlong_prompts": False, "prompt_id_key": "prompt_id"}
    file = str(folder / "train.parquet")
    dataset = ZPPODataset(file, tokenizer=tokenizer, config=OmegaConf.create(config), processor=object())
    frame = pd.read_parquet(file)
    (message,) = dataset[3]["raw_prompt"]
    image, text = message["content"]
    assert image["type"] == "image" and text["type"] == "text"
    assert f"<image>{text['text']}" == frame["prompt"][3][0]["content"]
    assert image["image"] == frame["images"][3][0]["bytes"]  # encoded until it is shown
    assert dataset[3]["prompt_id"] == frame["prompt_id"][3]


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(folder, tmp_path):
    small = PictureWorldSettings(train_questions=24, val_questions=12)
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        write_splits(dataclasses.replace(small, seed=seed), tmp_path / str(seed))
        for split in ("train", "val"):
            again = (tmp_path / str(seed) / f"{split}.parquet").read_bytes()
            assert (again == (folder / f"{split}.parquet").read_bytes()) == (seed == 0)
