"""The smoke world, built as a user builds it."""

import json
from dataclasses import replace

import pytest
from rich.console import Console
from transformers import AutoModelForImageTextToText, AutoTokenizer

from recipe.zppo.picture_world import PictureWorldSettings, build, build_picture_world
from recipe.zppo.world.paths import WorldError

SETTINGS = replace(PictureWorldSettings.smoke(), val_questions=8, measured_questions=2)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "smoke"
    return build_picture_world(path, settings=SETTINGS, console=Console(quiet=True))


def test_models_and_measurements_are_there(smoke):
    for folder in (smoke.student, smoke.teacher):
        model, tokenizer = AutoModelForImageTextToText.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        assert model.config.model_type == "qwen3_5"
        assert {"linear_attention", "full_attention"} == set(model.config.text_config.layer_types)
        assert model.config.text_config.vocab_size == len(tokenizer)
        assert (folder / "preprocessor_config.json").is_file() and (folder / "video_preprocessor_config.json").is_file()
    meta = json.loads(smoke.meta.read_text())
    assert 0 <= meta["measured"]["val_plain_accuracy"] <= 1
    assert set(meta["names"]["decoys"]) == {"counting", "charts", "geometry"}


def test_a_finished_world_is_found_and_a_foreign_folder_is_left_alone(smoke, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_build", lambda *_: pytest.fail("built again"))
    assert build_picture_world(smoke.root, settings=SETTINGS) == smoke
    (tmp_path / "thesis").write_text("years of work")
    with pytest.raises(WorldError, match="not a world"):
        build_picture_world(tmp_path, settings=SETTINGS, force=True)
