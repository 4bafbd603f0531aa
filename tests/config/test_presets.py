"""`preset=`: sizes that go together, on either platform and with every method."""

from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from recipe.zppo.config.compose import CONFIG_DIR
from recipe.zppo.preflight.settings import check_config
from tests.composed import compose
from tests.runnable import Run

PRESETS = sorted(file.stem for file in (CONFIG_DIR / "preset").glob("*.yaml"))
TEMPLATE = 160
"""Tokens of the text around the candidates of an NCQ prompt, by any tokenizer of words."""

SHOWN = (
    "data.train_batch_size",
    "data.max_prompt_length",
    "data.max_response_length",
    "zppo.reformulation.max_candidate_tokens",
    "actor_rollout_ref.rollout.max_model_len",
    "zppo.replay.capacity",
)
"""Columns of the table in docs/start/own-run.md."""


def test_the_papers_is_the_default() -> None:
    assert yaml.safe_load((CONFIG_DIR / "preset/paper.yaml").read_text()) is None
    assert compose().data.train_batch_size == 384


@pytest.mark.parametrize("preset", PRESETS)
def test_it_runs_and_all_wrong_answers_fit(preset: str, run: Run) -> None:
    config = compose([f"preset={preset}", "platform=cpu", *run.overrides("data.train_batch_size=16")])
    zppo = check_config(config)
    data, rollout = config.data, config.actor_rollout_ref.rollout
    shown = data.max_prompt_length + rollout.n * zppo.reformulation.max_candidate_tokens + TEMPLATE
    assert shown + data.max_response_length <= rollout.max_model_len
    assert zppo.compression.max_tokens == zppo.reformulation.max_candidate_tokens
    for method in ("grpo", "hint"):
        assert compose([f"preset={preset}", f"method={method}"]).data == compose([f"preset={preset}"]).data


def test_a_key_of_the_user_wins() -> None:
    config = compose(["data.max_prompt_length=99", "preset=tiny"])
    assert (config.data.max_prompt_length, config.data.max_response_length) == (99, 32)


def test_the_table_of_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs/start/own-run.md").read_text()
    for preset in PRESETS:
        config = compose([f"preset={preset}"])
        cells = [f"{OmegaConf.select(config, key):,}" for key in SHOWN]
        assert f"| `{preset}` | {' | '.join(cells)} |" in text
