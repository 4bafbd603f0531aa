"""Prompts that are too long for the run are found before Ray starts, with row and remedy."""

import shutil

import huggingface_hub
import pytest

from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.prompt_lengths import check_prompt_lengths
from tests.runnable import BATCH, Run, row, write_rows
from tests.tiny_models import make_tokenizer

CLOSER = 182
"""Tokens of the closer, a letter each."""


@pytest.fixture
def lengths(run: Run) -> Run:
    """Its student has a tokenizer; a prompt takes 3 tokens more than it has words."""
    make_tokenizer().save_pretrained(run.student)
    return run


def rows(*words: int) -> list[dict]:
    """Prompts of so many words each."""
    return [row(i, prompt=[{"role": "user", "content": "1 " * n}]) for i, n in enumerate(words)]


def test_fewer_than_a_batch_fit(lengths: Run) -> None:
    few = write_rows(lengths.folder / "few.parquet", rows(*[10] * (BATCH - 1), *[30, 20, 40]))
    limit = "data.max_prompt_length"
    said = lengths.refused(f"data.train_files={few}", f"{limit}={CLOSER + 20}")
    assert said == (
        f"{limit}: {CLOSER + 20} tokens hold {BATCH - 1} of {BATCH + 2} prompts of data.train_files, and it takes "
        f"{BATCH}; the shortest of the others, {few} row {BATCH}, needs {CLOSER + 23} with the closer: set at least "
        "that, or give shorter prompts"
    )
    lengths.check(f"data.train_files={few}", f"{limit}={CLOSER + 23}")
    lengths.check(f"data.train_files={few}", f"{limit}={CLOSER + 20}", "data.filter_overlong_prompts=false")


def test_no_validation_prompt_fits(lengths: Run) -> None:
    long = write_rows(lengths.folder / "long.parquet", rows(30, 20))
    said = lengths.refused(f"data.val_files={long}", f"data.max_prompt_length={CLOSER + 20}")
    assert f"hold 0 of 2 prompts of data.val_files, and it takes 1; the shortest of the others, {long} row 1" in said


def test_a_prompt_that_the_template_refuses(lengths: Run) -> None:
    said = lengths.refused("actor_rollout_ref.model.custom_chat_template=x{{ raise_exception('no') }}")
    assert said == f"data.train_files: {lengths.data} row 0: the chat template can't show it: no"


def test_what_can_not_be_known(lengths: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a data set class of the user's makes of the rows; the tokenizer of a model whose config alone is cached."""
    long = write_rows(lengths.folder / "long.parquet", rows(*[30] * BATCH))
    config = lengths.config(f"data.train_files={long}", f"data.max_prompt_length={CLOSER + 20}")
    with pytest.raises(ConfigError, match="hold 0 of 8 prompts"):
        check_prompt_lengths(config, validate_zppo(config.zppo))
    own = config.copy()
    own.data.custom_cls.path = str(lengths.folder / "own.py")
    check_prompt_lengths(own, validate_zppo(own.zppo))
    cached = lengths.folder / "hub/models--own--model"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs/main").write_text("c0ffee")
    shutil.copytree(lengths.student, cached / "snapshots/c0ffee")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(lengths.folder / "hub"))
    config.actor_rollout_ref.model.path = "own/model"
    config.actor_rollout_ref.model.custom_chat_template = "{{ messages[0].content }}"
    with pytest.raises(ConfigError, match="hold 0 of 8 prompts"):
        check_prompt_lengths(config, validate_zppo(config.zppo))
    for file in (cached / "snapshots/c0ffee").iterdir():
        if file.name != "config.json":
            file.unlink()
    check_prompt_lengths(config, validate_zppo(config.zppo))
