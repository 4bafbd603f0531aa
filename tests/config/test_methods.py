"""`method=` as App. D.2 lists them: each is the default with a few keys changed."""

import pytest
from omegaconf import OmegaConf

from recipe.zppo.config.compose import CONFIG_DIR
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from tests.composed import compose

PLAIN = {"reformulation.bcq": False, "reformulation.ncq": False}
DELTAS = {
    "zppo": {},
    "grpo": {"replay.enable": False, "reformulation.enable": False},
    "grpo_replay": {"reformulation.enable": False},
    "grpo_both": {"replay.enable": False},
    "grpo_replay_bcq": {"reformulation.ncq": False},
    "grpo_replay_ncq": {"reformulation.bcq": False},
    "hint": PLAIN | {"reformulation.hint": True},
    "prefix": PLAIN | {"reformulation.prefix": True},
    "worked_solution": PLAIN | {"reformulation.worked": True, "compression.mode": "truncate"},
}
for name, mode in (("off_distill", "off_policy"), ("on_distill", "on_policy")):
    DELTAS[f"{name}_replay"] = {"reformulation.enable": False, "distillation.mode": mode, "updates_per_step": 1}
    DELTAS[name] = DELTAS[f"{name}_replay"] | {"replay.enable": False}


def flat(node, path="") -> dict:
    if not isinstance(node, dict):
        return {path: node}
    return {
        key: value
        for name, child in node.items()
        for key, value in flat(child, f"{path}.{name}" if path else name).items()
    }


def test_every_method_has_a_file_and_a_definition() -> None:
    assert {file.stem for file in (CONFIG_DIR / "method").glob("*.yaml")} == set(DELTAS)


@pytest.mark.parametrize("method", DELTAS)
def test_a_method_changes_these_keys_and_no_other(method: str) -> None:
    base, config = compose([]), compose([f"method={method}"])
    before, after = (flat(OmegaConf.to_container(c.zppo, resolve=False)) for c in (base, config))
    assert {key: value for key, value in after.items() if before[key] != value} == DELTAS[method]
    del base.zppo, config.zppo
    if "distill" in method:
        assert base.actor_rollout_ref.model.use_fused_kernels  # on a GPU; it gives no logits
        assert not config.actor_rollout_ref.model.use_fused_kernels
        config.actor_rollout_ref.model.use_fused_kernels = True
    assert OmegaConf.to_container(base, resolve=False) == OmegaConf.to_container(config, resolve=False)


def test_a_key_of_the_user_wins_over_the_method() -> None:
    config = compose(["method=off_distill", "zppo.updates_per_step=2", "zppo.teacher.path=t", "platform=cpu"])
    assert validate_zppo(config.zppo).updates_per_step == 2
    assert config.zppo.distillation.topk is None  # small vocabularies on the CPU


def test_a_teacher_is_asked_for_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match=r"zppo\.teacher\.path: this method needs a teacher"):
        validate_zppo(compose(["method=hint"]).zppo)
    assert not validate_zppo(compose(["method=grpo_replay"]).zppo).needs_teacher
