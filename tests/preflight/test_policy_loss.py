"""What the policy loss is set to: what verl would ignore or fail on an hour later is refused."""

import inspect
import re
from typing import Any

import pytest
import torch
from verl.utils.config import omega_conf_to_dataclass

from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.borrowed import get_policy_loss_fn
from recipe.zppo.preflight.policy_loss import DEFAULTS, READS, check_policy_loss
from tests.composed import compose
from tests.runnable import Run

ACTOR, MODE = "actor_rollout_ref.actor", "actor_rollout_ref.actor.policy_loss.loss_mode"
DISTILLS = "zppo.distillation.mode=on_policy"
BY_ONE = f"{ACTOR}.clip_ratio=0.1"
NULL = f"{ACTOR}.clip_ratio_low=null {ACTOR}.clip_ratio_high=null"

# Overrides, and what is said of them; None passes.
CASES = [
    (f"{MODE}=foo", f"{MODE}: foo is not one of {', '.join(READS)}"),
    (f"{MODE}=bypass_mode", f"{MODE}: bypass_mode is not one of {', '.join(READS)}"),
    (f"{MODE}=foo +actor_rollout_ref.model.external_lib=mine", None),
    (
        f"{MODE}=geo_mean",
        f"{MODE}: verl adds up geo_mean's means over micro-batches, so its gradient would follow from",
    ),
    (f"{MODE}=gpg", None),
    (f"{MODE}=gpg {NULL}", None),
    (
        f"{MODE}=gpg {ACTOR}.clip_ratio_low=0.1",
        f"{ACTOR}.clip_ratio_low: 0.1 would do nothing: the loss gpg never reads it; leave it 0.2, or choose another "
        "policy_loss.loss_mode",
    ),
    (f"{MODE}=cispo {ACTOR}.clip_ratio_high=0.3", None),
    (f"{MODE}=cispo {ACTOR}.clip_ratio_c=3", f"{ACTOR}.clip_ratio_c: 3 would do nothing: the loss cispo never reads"),
    (f"{ACTOR}.tau_neg=1.1", f"{ACTOR}.tau_neg: 1.1 would do nothing: the loss vanilla never reads it; leave it 1.05"),
    (f"{MODE}=sapo {ACTOR}.tau_neg=1.1", None),
    (f"{MODE}=dro", f"{ACTOR}.policy_loss.dro_beta: the loss dro needs a number greater than 0; set it"),
    (f"{MODE}=dro {ACTOR}.policy_loss.dro_beta=0.1", None),
    (BY_ONE, f"{ACTOR}.clip_ratio: 0.1 would do nothing beside clip_ratio_low=0.2 and clip_ratio_high=0.28; set those"),
    (f"{BY_ONE} {NULL}", None),
    (f"{BY_ONE} {ACTOR}.clip_ratio_high=null", None),
    (f"{ACTOR}.clip_ratio_low=0.1 {ACTOR}.clip_ratio_high=0.1", None),
    (DISTILLS, None),
    (
        f"{DISTILLS} {ACTOR}.clip_ratio_high=0.3",
        f"{ACTOR}.clip_ratio_high: 0.3 would do nothing: zppo.distillation.mode=on_policy has a divergence for its "
        "loss; leave it 0.28",
    ),
    (f"{DISTILLS} {MODE}=gspo", f"{MODE}: gspo would do nothing with zppo.distillation.mode=on_policy, whose"),
]


@pytest.mark.parametrize(("overrides", "said"), CASES, ids=[case[0] for case in CASES])
def test_what_would_do_nothing_or_fail_late_is_refused(overrides: str, said: str | None) -> None:
    config = compose(overrides.split())
    if said is None:
        return check_policy_loss(config)
    with pytest.raises(ConfigError) as error:
        check_policy_loss(config)
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


def test_a_run_is_refused(run: Run) -> None:
    assert run.refused(f"{MODE}=foo").startswith(f"{MODE}: foo is not one of vanilla, ")


def test_defaults_are_those_of_the_configuration() -> None:
    actor = compose().actor_rollout_ref.actor
    assert {key: actor.policy_loss[key.split(".")[1]] if "." in key else actor[key] for key in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("mode", READS)
def test_verl_reads_what_the_table_says(mode: str) -> None:
    source = inspect.getsource(get_policy_loss_fn(mode))
    assert (
        tuple(key for key in DEFAULTS if re.search(rf"""config\.{key}\b|config\.get\([^"]*"{key}\"""", source))
        == (READS[mode])
    )


def lost(mode: str, *overrides: str) -> list[float]:
    """The loss's value for a ratio of 0.5, and for one of 2, of tokens whose advantage pulls outward."""
    config = compose([f"{MODE}={mode}", *overrides])
    actor: Any = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    actor.global_batch_info.update(dp_size=1, batch_num_tokens=2, global_batch_size=1, loss_scale_factor=None)
    advantages = torch.tensor([[-1.0, 1.0]])
    return [
        2
        * abs(
            float(
                get_policy_loss_fn(mode)(
                    old_log_prob=torch.zeros(1, 2),
                    log_prob=torch.tensor([[0.5, 2.0]]).log(),
                    advantages=advantages,
                    response_mask=mask,
                    loss_agg_mode="token-mean",
                    config=actor,
                )[0]
            )
        )
        for mask in torch.tensor([[[1, 0]], [[0, 1]]], dtype=torch.bool)
    ]


@pytest.mark.parametrize(
    ("bounds", "clipped"), [((0.2, 0.28), [0.8, 1.28]), ((None, 0.28), [0.9, 1.28]), ((None, None), [0.9, 1.1])]
)
def test_verl_clips_by_clip_ratio_where_a_bound_is_null(bounds: tuple, clipped: list[float]) -> None:
    low, high = (str(bound).replace("None", "null") for bound in bounds)
    overrides = (BY_ONE, f"{ACTOR}.clip_ratio_low={low}", f"{ACTOR}.clip_ratio_high={high}")
    assert lost("vanilla", *overrides) == pytest.approx(clipped)


def test_gpg_takes_the_log_probs_whatever_the_bounds() -> None:
    narrow = lost("gpg", f"{ACTOR}.clip_ratio_low=0.01", f"{ACTOR}.clip_ratio_high=0.01")
    assert narrow == lost("gpg") == pytest.approx([0.6931472, 0.6931472])
