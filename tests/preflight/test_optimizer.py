"""The optimiser on Megatron: what its name sets there, and what does not exist."""

import pytest

from recipe.zppo.config.compose import compose
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.optimizer import check_optimizer

OPTIM = "actor_rollout_ref.actor.optim"


def check(*overrides: str) -> None:
    config = compose(["model_engine=megatron", "zppo.teacher.path=teacher", *overrides])
    check_optimizer(config, validate_zppo(config.zppo))


@pytest.mark.parametrize("name", ["anyprecision", "fp32"])
def test_what_megatron_has(name: str) -> None:
    check(f"zppo.optimizer={name}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["zppo.optimizer=stochastic"], "zppo.optimizer: Megatron keeps fp32 weights and has none that rounds"),
        ([f"{OPTIM}.exp_avg_sq_dtype=fp32"], f"{OPTIM}.exp_avg_sq_dtype: fp32 contradicts zppo.optimizer=anyprecision"),
        (
            ["zppo.optimizer=fp32", f"{OPTIM}.use_precision_aware_optimizer=true"],
            f"{OPTIM}.use_precision_aware_optimizer: True contradicts zppo.optimizer=fp32, which means False; leave",
        ),
    ],
)
def test_what_it_has_not(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        check(*overrides)
