"""What the model card says, and what it keeps to itself."""

import json
import re
import time
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from recipe.zppo.config.paths import CONFIG_DIR
from recipe.zppo.export.card import text
from recipe.zppo.export.record import Record, changed_settings, method_of, public_name, read_record
from recipe.zppo.export.source import Source
from tests.export.conftest import TEMPLATE, Finished


def source(folder: Path, step: int | None = 4) -> Source:
    return Source(folder, "verl", folder, step)


@pytest.fixture(scope="module")
def record(recorded: Finished) -> Record:
    return read_record(recorded.folder, recorded.folder, 4)


@pytest.fixture(scope="module")
def card(recorded: Finished, record: Record) -> str:
    return text({}, "me/mine", source(recorded.folder), record, "bfloat16")


def test_the_hub_can_read_it(card: str) -> None:
    assert "\n# mine\n" in card
    head = ModelCard(card).data.to_dict()
    assert (
        head["library_name"] == "transformers" and head["pipeline_tag"] == "text-generation" and "zppo" in head["tags"]
    )
    assert "base_model" not in head  # a folder of this machine
    there = text({"vision_config": {}}, "x", source(Path()), Record(config=_model("Qwen/Qwen3.5-2B")), "float32")
    assert "\n# Qwen3.5-2B trained with open-zppo\n" in there
    head = ModelCard(there).data.to_dict()
    assert (head["base_model"], head["pipeline_tag"]) == ("Qwen/Qwen3.5-2B", "image-text-to-text")


def test_a_relative_folder_is_no_model_of_the_hub(tmp_path: Path) -> None:
    (tmp_path / "config_1.yaml").write_text(yaml.safe_dump(_model("models/qwen")))
    for place, base in (({"path": "/home/me/models/qwen"}, None), ({"path": "models/qwen"}, "models/qwen")):
        start = {"time": "2026-01-01T00:00:00+0000", "config": "config_1.yaml", "model": place}
        (tmp_path / "starts.jsonl").write_text(json.dumps(start) + "\n")
        record = read_record(tmp_path, tmp_path, None)
        assert record.model["path"] == place["path"]
        card = text({}, "me/mine", source(tmp_path), record, "bfloat16")
        assert ModelCard(card).data.to_dict().get("base_model") == base and "/home" not in card


def test_results_are_those_up_to_the_step(card: str) -> None:
    assert "| `a b` | 16 | 25.0% (step 0) | 75.0% (step 4) | 75.0% (step 4) |" in card
    assert "Hard questions met: 12. Of these 4 graduated" in card
    assert "- Checkpoint: step 4\n- Weights: bfloat16" in card


def test_base_method_data_and_code(card: str, recorded: Finished) -> None:
    assert "- Base model: `base`\n- Method: `grpo_replay` (GRPO with the prompt replay buffer (GRPO†)), of" in card
    (line,) = re.findall(r"^\| `questions.parquet` \| training \| ([\d,]+) \| `(\w{32})` \|$", card, re.M)
    start = json.loads((recorded.folder / "starts.jsonl").read_text())
    (file,) = start["data"]["train_files"]
    assert line == (f"{file['bytes']:,}", file["hash_of_ends"])
    assert "`questions.parquet` | held-out |" in card
    assert f"verl {start['packages']['verl']}, torch {start['packages']['torch']}" in card
    if start["code"]:
        assert f"at commit `{start['code']['commit']}`" in card


def test_settings_are_those_that_differ(card: str) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", card, re.M | re.S)
    settings = yaml.safe_load(block)
    assert settings["zppo.replay.fraction"] == 0.5 and settings["data.train_batch_size"] == 16
    assert settings["zppo.reformulation.enable"] is False
    assert settings["zppo.teacher.path"] == "teacher"
    assert "zppo.threshold" not in settings
    assert "actor_rollout_ref.actor.ppo_mini_batch_size" not in settings  # it is data.train_batch_size


def test_the_machine_and_its_secrets_are_nobodys_business(card: str, record: Record, recorded: Finished) -> None:
    config = json.loads(json.dumps(record.config))
    config["actor_rollout_ref"]["model"]["override_config"] = {"hub_token": "abc", "max_tokens": 3}
    assert changed_settings(config)["actor_rollout_ref.model.override_config"] == {"max_tokens": 3}
    for private in (str(recorded.folder.parent), "/models/", "MY_TOKEN", "secret", "default_local_dir", TEMPLATE):
        assert private not in card


def test_what_is_unknown_is_left_out(tmp_path: Path) -> None:
    empty = read_record(tmp_path, tmp_path, 3)
    assert empty == Record()
    card = text({}, "mine", source(tmp_path, None), empty, "bfloat16")
    assert re.findall("^## (.*)$", card, re.M) == ["Use", "Training"]
    assert not re.search(r"Base model|Method:|step|None|\?", card)


def test_records_that_are_broken_are_unknown(tmp_path: Path) -> None:
    start = {"time": "yesterday", "config": "config_1.yaml", "data": None, "packages": None}
    (tmp_path / "starts.jsonl").write_text(json.dumps(start) + '\n{"time": ')
    assert read_record(tmp_path, tmp_path, 3) == Record()
    (tmp_path / "config_1.yaml").write_text("a: [")
    assert read_record(tmp_path, tmp_path, 3).config == {}


def test_the_start_before_the_checkpoint_counts(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.touch()
    with open(tmp_path / "starts.jsonl", "w") as file:
        for number, moment in enumerate((-60, -30, 60)):
            at = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(time.time() + moment))
            file.write(json.dumps({"time": at, "config": f"config_{number}.yaml"}) + "\n")
            (tmp_path / f"config_{number}.yaml").write_text(f"number: {number}")
    assert read_record(tmp_path, saved, 3).config == {"number": 1}


def test_names_of_data_and_values_stay_in_their_place(recorded: Finished, record: Record) -> None:
    """A data source with Markdown in it, a value with a fence."""
    config = json.loads(json.dumps(record.config))
    config["data"]["truncation"] = "x\n```\n# Hello\n````"
    data = {"train_files": [{"file": "a`|\n\n# b <img src=x>.parquet"}]}
    card = text({}, "x", source(recorded.folder), Record(config=config, data=data), "bfloat16")
    assert "| `a # b img src=x .parquet` | training |  |  |" in card
    (block,) = re.findall(r"^`````yaml\n(.*?)^`````$", card, re.M | re.S)
    assert yaml.safe_load(block)["data.truncation"] == config["data"]["truncation"]


def test_every_method_is_known_by_its_settings(record: Record) -> None:
    """And a mixture of one's own has no name."""
    for file in (CONFIG_DIR / "method").glob("*.yaml"):
        config = json.loads(json.dumps(record.config))
        config["zppo"]["reformulation"]["enable"] = True
        for group, values in ((yaml.safe_load(file.read_text()) or {}).get("zppo") or {}).items():
            config["zppo"][group] = config["zppo"][group] | values if isinstance(values, dict) else values
        name, about = method_of(config)
        assert name == file.stem and about and not about.endswith(".")
    config["zppo"]["reformulation"] |= {"hint": True, "ncq": True, "bcq": False}
    assert method_of(config) is None


def test_an_older_or_a_newer_config_is_read_as_far_as_it_goes(record: Record) -> None:
    config = json.loads(json.dumps(record.config))
    del config["algorithm"], config["zppo"]["replay"]["capacity"]
    config["zppo"]["something"] = {"new": 1}
    settings = changed_settings(config)
    assert settings["zppo.replay.fraction"] == 0.5 and "zppo.replay.capacity" not in settings


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Qwen/Qwen3.5-2B", "Qwen/Qwen3.5-2B"),
        ("/home/jane/models/mine/", "mine"),
        ("~/mine", "mine"),
        ("/x/hub/models--Qwen--Qwen3-4B/snapshots/0a1b2c", "Qwen/Qwen3-4B"),
        ("hdfs://host/private/mine", "mine"),
        ("https://me:secret@host", "(an address)"),
        ("pkg://recipe.zppo.reward", "pkg://recipe.zppo.reward"),
    ],
)
def test_names_without_the_way_there(path: str, name: str) -> None:
    assert public_name(path) == name


def _model(path: str) -> dict:
    return {"actor_rollout_ref": {"model": {"path": path}}}
