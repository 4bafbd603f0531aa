"""The optimiser on Megatron: what its name sets there, and what does not exist."""

import pytest

from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.optimizer import check_optimizer
from tests.composed import compose

OPTIM = "actor_rollout_ref.actor.optim"


def check(*overrides: str) -> None:
    config = compose(["model_engine=megatron", "zppo.teacher.path=teacher", *overrides])
    check_optimizer(config, validate_zppo(config.zppo))


@pytest.mark.parametrize("name", ["anyprecision", "fp32"])
def test_what_megatron_has(name: str) -> None:
    check(f"zppo.optimizer={name}")


def test_betas_where_megatron_reads_them() -> None:
    own = f"+{OPTIM}.override_optimizer_config"
    check(f"{OPTIM}.betas=[0.8,0.95]", f"{own}.adam_beta1=0.8", f"{own}.adam_beta2=0.95")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["zppo.optimizer=stochastic"], "zppo.optimizer: Megatron keeps fp32 weights and has none that rounds"),
        (["platform=cpu", "zppo.optimizer=anyprecision"], "zppo.optimizer: anyprecision on Megatron is Transformer"),
        ([f"{OPTIM}.betas=[0.9,0.95]"], rf"{OPTIM}.betas: verl does not hand them to Megatron, .* \[0.9, 0.999\]"),
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
