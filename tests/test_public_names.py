"""Names that users and checkpoints rely on, wherever the code behind them lies."""

import importlib
import pickle

import pytest

NAMES = (
    "recipe.zppo.advantage:two_step_advantage",
    "recipe.zppo.replay_buffer:PromptReplayBuffer",
    "recipe.zppo.selection:select_reformulations",
    "recipe.zppo.selection:Kind",
    "recipe.zppo.prompts:bcq_messages",
    "recipe.zppo.prompts:ncq_messages",
    "recipe.zppo.reward:compute_score",
    "recipe.zppo.bootstrap:bootstrap_difference",
)
COMMANDS = ("candidate_match", "compare", "cue_audit", "merge_adapter", "plots", "summary", "wait_for_nodes", "watch")


@pytest.mark.parametrize("name", NAMES)
def test_public_names_are_there(name: str) -> None:
    module, _, attribute = name.partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_there(name: str) -> None:
    assert callable(importlib.import_module(f"recipe.zppo.{name}").main)


def test_a_kind_of_an_older_checkpoint_is_read() -> None:
    """Pickled where `Kind` was defined up to version 0.1.0."""
    from recipe.zppo.types import Kind

    # What the commit 66e4db6 wrote for Kind.BCQ.
    head = b"\x80\x04\x95,\x00\x00\x00\x00\x00\x00\x00\x8c\x15recipe.zppo.selection\x94\x8c\x04Kind\x94\x93\x94"
    old = head + b"\x8c\x03bcq\x94\x85\x94R\x94."
    assert pickle.loads(old) is Kind.BCQ
