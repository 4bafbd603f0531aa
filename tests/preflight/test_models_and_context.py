"""Model folders that can't be loaded, and contexts that are too short for what the method shows."""

import pytest

from recipe.zppo.preflight import hub
from tests.runnable import Run

CONTEXT = "actor_rollout_ref.rollout.max_model_len"
NO_BCQ, PLAIN = "zppo.reformulation.bcq=false", "zppo.reformulation.enable=false"


def test_student_context_too_short_for_bcq(run: Run) -> None:
    """4096 + 2 x 512 + 128 (no tokenizer in the folder) + 12288 = 17536."""
    message = f"{CONTEXT}: 17535 tokens of context are too few for a BCQ prompt, 17536 = …"
    run.check_case(f"{CONTEXT}=17535", message, f"{CONTEXT}=17536", f"{CONTEXT}=17024 {NO_BCQ}")
    run.check_case(f"{CONTEXT}=17023 {NO_BCQ}", f"{CONTEXT}: …too few for an NCQ prompt…")
    run.check_case(f"{CONTEXT}=16383 {PLAIN}", f"{CONTEXT}: …too few for a prompt…")


IDS = ["actor_rollout_ref.model.path", "zppo.teacher.path", "actor_rollout_ref.model.tokenizer_path"]


@pytest.mark.parametrize("key", [*IDS, "zppo.teacher.more"])
def test_a_hub_id_that_the_hub_does_not_give(run: Run, key: str, closed_hub: None) -> None:
    value = "[far/away]" if key.endswith("more") else "far/away"
    assert run.refused(f"{key}={value}") == (
        f"{key}: far/away is neither a folder nor in the local hub cache, and the hub can't be reached "
        "([Errno 111] Connection refused)"
    )


def test_a_tokenizer_path(run: Run) -> None:
    key = "actor_rollout_ref.model.tokenizer_path"
    assert run.refused(f"{key}={run.teacher}") == (
        f"{key}: {run.teacher} is a folder without tokenizer_config.json, so not a Hugging Face model"
    )


@pytest.mark.parametrize("key", ["actor_rollout_ref.model.path", "zppo.teacher.path"])
def test_model_path(run: Run, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run.refused(f"{key}=/no/such/model") == f"{key}: the folder /no/such/model does not exist"
    assert run.refused(f"{key}=./model").startswith(f"{key}: the folder ./model does not exist")
    bare = run.folder / "bare"
    bare.mkdir()
    assert "without config.json" in run.refused(f"{key}={bare}")
    assert "is a file" in run.refused(f"{key}={run.data}")
    assert run.refused(f"{key}=null").startswith(f"{key}: ")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    begin = f"{key}: no-such-owner/no-such-model is neither a folder nor in the local hub cache, and "
    assert run.refused(f"{key}=no-such-owner/no-such-model") == begin + hub._OFFLINE


def test_context_beyond_the_positions_of_the_model(run: Run) -> None:
    run.model("student", max_position_embeddings=20_000)
    assert "24576 is more than the 20000 positions of the model" in run.refused()
    run.model("student", text_config={"max_position_embeddings": 17_000}, max_position_embeddings=99_999)
    assert "17000 tokens of context are too few" in run.refused("actor_rollout_ref.rollout.max_model_len=null")
