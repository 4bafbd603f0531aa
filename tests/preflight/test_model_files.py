"""Weights that are not whole, and tokenizers without a chat template, are named before Ray starts."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from recipe.zppo.preflight.model_files import INDEX
from recipe.zppo.preflight.settings import find_problems
from tests.runnable import Run

KEYS = {"student": "actor_rollout_ref.model.path", "teacher": "zppo.teacher.path"}


@pytest.fixture(params=KEYS)
def model(request: pytest.FixtureRequest, run: Run) -> tuple[Path, str]:
    """A folder with whole weights, and the key that names it."""
    folder = getattr(run, request.param)
    save_file({"a": torch.zeros(64), "b": torch.zeros(3, dtype=torch.bfloat16)}, folder / "model.safetensors")
    run.check()
    return folder, KEYS[request.param]


@pytest.mark.parametrize("there", [0, 5, 40, 200, -1])
def test_a_weight_file_that_is_cut_off(run: Run, model: tuple[Path, str], there: int) -> None:
    folder, key = model
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:there])
    message = run.refused()
    assert message.startswith(f"{key}: {file} is not whole (") and message.endswith("; download the model again")


def test_a_weight_file_that_is_missing(run: Run, model: tuple[Path, str]) -> None:
    folder, key = model
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "model.safetensors", "c": "model-2.safetensors"}}))
    assert run.refused() == (
        f"{key}: {folder}/model-2.safetensors is missing, though {INDEX} names it; download the model again"
    )
    (folder / INDEX).write_text("{}")
    assert f"{INDEX} can't be read" in run.refused()


@pytest.mark.parametrize("where", ["chat_template.jinja", "chat_template.json", "tokenizer_config.json"])
def test_a_model_without_chat_template(run: Run, model: tuple[Path, str], where: str, monkeypatch) -> None:
    folder, key = model
    # There is no tokenizer.
    monkeypatch.setattr("recipe.zppo.preflight.models._template_tokens", lambda *_, **__: 128)
    monkeypatch.setattr("recipe.zppo.preflight.settings.check_prompt_lengths", lambda *_: None)
    (folder / "tokenizer_config.json").write_text("{}")
    message = run.refused()
    assert message.startswith(f"{key}: the tokenizer of {folder} has no chat template (is it a base model?)")
    custom = "actor_rollout_ref.model.custom_chat_template"
    assert (custom in message) == (key == KEYS["student"])
    if custom in message:
        run.check(f"{custom}=x")
        other = run.model("other")
        (other / "tokenizer_config.json").write_text('{"chat_template": "x"}')
        run.check(f"actor_rollout_ref.model.tokenizer_path={other}")
    (folder / where).write_text('{"chat_template": "x"}')
    run.check()


@pytest.mark.parametrize("path", ["/no/such/folder", "hdfs://far/away", "null", "no-such-owner/no-such-model"])
def test_a_model_that_is_not_here_is_left_to_the_check_of_its_path(run: Run, path: str, monkeypatch) -> None:
    """A dry run lists every problem, so each check sees what the ones before have refused."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    problems = find_problems(run.config(*(f"{key}={path}" for key in KEYS.values())))
    assert all(problem.startswith(tuple(KEYS.values())) for problem in problems), problems
    assert bool(problems) == ("://" not in path)
