"""What distillation needs is told before Ray starts: one vocabulary, an engine with logits, one teacher."""

import json

import pytest
from omegaconf import OmegaConf

from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.distillation import check_distillation
from recipe.zppo.preflight.models import check_vocabularies
from tests.composed import compose
from tests.tiny_models import SPECIAL, make_tokenizer


@pytest.fixture
def model(tmp_path):
    """Folders with a tokenizer and a config of so many outputs."""

    def make(name, size=120):
        folder = tmp_path / name
        make_tokenizer().save_pretrained(folder)
        (folder / "config.json").write_text(json.dumps({"model_type": "qwen3", "vocab_size": size}))
        return folder

    return make


def refused(student, teacher):
    with pytest.raises(ConfigError) as caught:
        check_vocabularies(str(student), str(teacher), trust_remote_code=False)
    message = str(caught.value)
    assert message.startswith("zppo.teacher.path: ") and "\n" not in message
    assert "distillation needs the same vocabulary" in message
    return message


def test_same_tokens_and_sizes_pass(model):
    check_vocabularies(str(model("student")), str(model("teacher")), trust_remote_code=False)


def test_another_number_of_outputs_is_refused(model):
    assert "has 128 outputs, the student" in refused(model("student"), model("teacher", 128))


def test_another_token_is_named(model):
    student, teacher = model("student"), model("teacher")
    file = teacher / "tokenizer.json"
    content = json.loads(file.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["63"], vocabulary["62"] = vocabulary["62"], vocabulary["63"]
    file.write_text(json.dumps(content))
    assert f"first in '62' (id {len(SPECIAL) + 63}, not {len(SPECIAL) + 62})" in refused(student, teacher)


def test_tokenizer_that_cannot_be_read_is_told(model):
    student, teacher = model("student"), model("teacher")
    (teacher / "tokenizer.json").write_text("{")
    with pytest.raises(ConfigError, match=r"the tokenizer of .*teacher can't be loaded"):
        check_vocabularies(str(student), str(teacher), trust_remote_code=False)


@pytest.fixture(scope="module")
def composed():
    return compose(["method=off_distill", "platform=cpu", "zppo.teacher.path=teacher"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("actor_rollout_ref.model.use_fused_kernels", True),
        ("actor_rollout_ref.actor.strategy", "megatron"),
        ("actor_rollout_ref.rollout.calculate_log_probs", False),
        ("actor_rollout_ref.rollout.temperature", 0.7),
        ("actor_rollout_ref.actor.use_kl_loss", True),
        ("actor_rollout_ref.actor.entropy_coeff", 0.1),
        ("zppo.teacher.more", ["another"]),
    ],
)
def test_setting_that_the_divergence_cannot_live_with(composed, key, value):
    config = composed.copy()
    check_distillation(config, validate_zppo(config.zppo))
    OmegaConf.update(config, key, value)
    with pytest.raises(ConfigError, match=rf"^{key}: "):
        check_distillation(config, validate_zppo(config.zppo))
    if key != "zppo.teacher.more":
        config.zppo.distillation.mode = "none"
        config.zppo.reformulation.enable = True
        check_distillation(config, validate_zppo(config.zppo))


def test_another_average_of_the_loss_is_for_on_policy_distillation(composed):
    """Off-policy the average is that of Alg. 2, and the key would do nothing."""
    config = composed.copy()
    config.actor_rollout_ref.actor.loss_agg_mode = "seq-mean-token-mean"
    with pytest.raises(ConfigError, match=r"^actor_rollout_ref\.actor\.loss_agg_mode: must be token-mean with zppo"):
        check_distillation(config, validate_zppo(config.zppo))
    config.zppo.distillation.mode = "on_policy"
    check_distillation(config, validate_zppo(config.zppo))
