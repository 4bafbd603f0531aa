"""The `zppo:` node: Table 8, types, bounds, unknown keys."""

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from pydantic import ValidationError

from recipe.zppo.config.compose import CONFIG_DIR, check_overrides, compose
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from recipe.zppo.types import Kind

VALID = {"teacher": {"path": "t", "nnodes": 1, "response_length": 8}}
OFF = {"reformulation": {"enable": False}}
NCQ = {"reformulation": {"bcq": False}}
ON_POLICY = OFF | {"distillation": {"mode": "on_policy"}}


def with_value(key: str, value: Any) -> dict:
    if not key:
        return VALID | value
    node = OmegaConf.create(VALID)
    OmegaConf.update(node, key, value, force_add=True)
    return OmegaConf.to_container(node)


def test_yaml_states_the_defaults_of_the_schema() -> None:
    node = OmegaConf.load(CONFIG_DIR / "zppo_trainer.yaml").zppo
    assert OmegaConf.to_container(node, resolve=False) == ZPPOConfig().model_dump(warnings=False)


def test_a_config_can_be_sent_to_another_process_and_not_be_changed() -> None:
    config = validate_zppo(VALID)
    assert pickle.loads(pickle.dumps(config)) == config
    with pytest.raises(ValidationError):
        config.replay.fraction = 0.5


def test_defaults_are_table_8() -> None:
    config = compose()
    zppo, actor, rollout = config.zppo, config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    assert (zppo.threshold, zppo.replay.fraction, zppo.reformulation.fraction) == (0.5, 0.25, 0.25)
    assert (zppo.replay.capacity, zppo.compression.max_tokens, zppo.compression.mode) == (10_000, 512, "teacher")
    assert zppo.reformulation.max_candidate_tokens == 512
    assert (zppo.updates_per_step, config.data.train_batch_size, rollout.n, zppo.teacher.n_rollouts) == (4, 384, 8, 4)
    assert (config.data.max_prompt_length, config.data.max_response_length) == (4096, 12_288)
    assert zppo.teacher.response_length == 12_288
    assert (rollout.temperature, rollout.top_p, rollout.top_k) == (1.0, 1.0, -1)
    assert (zppo.teacher.temperature, zppo.teacher.top_p, zppo.teacher.top_k) == (1.0, 1.0, -1)
    assert (actor.clip_ratio_low, actor.clip_ratio_high, actor.clip_ratio_c) == (0.2, 0.28, 10.0)
    assert (actor.loss_agg_mode, actor.use_kl_loss, actor.entropy_coeff) == ("token-mean", False, 0)
    assert (zppo.optimizer, actor.optim.optimizer_impl, actor.optim.optimizer) == ("anyprecision", "optimi", "AdamW")
    assert (actor.optim.lr, list(actor.optim.betas)) == (1e-6, [0.9, 0.999])
    assert (actor.optim.weight_decay, actor.optim.clip_grad, actor.optim.lr_scheduler_type) == (0.1, 1.0, "constant")
    assert (config.trainer.n_gpus_per_node, zppo.teacher.n_gpus_per_node) == (6, 2)
    assert rollout.tensor_model_parallel_size == zppo.teacher.inference.tensor_model_parallel_size == 1
    assert zppo.advantage_norm == "without_zero"
    assert config.trainer.total_epochs == 1
    assert config.data.apply_chat_template_kwargs == {"enable_thinking": True}


def test_interpolations_reach_the_rest_of_the_config() -> None:
    config = compose(["zppo.teacher.path=t", "trainer.nnodes=3", "trainer.default_local_dir=here"])
    zppo = validate_zppo(config.zppo)
    assert (zppo.teacher.nnodes, zppo.logging.rollouts_dir) == (3, "here/rollouts")
    assert zppo.teacher.inference["max_model_len"] == config.actor_rollout_ref.rollout.max_model_len


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("thresold", 0.5, "zppo.thresold: unknown key; did you mean zppo.threshold?"),
        ("replay.size", 5, "zppo.replay.size: unknown key; known keys: enable, fraction, capacity"),
        ("teacher.n_rollout", 4, "zppo.teacher.n_rollout: unknown key; did you mean zppo.teacher.n_rollouts?"),
        ("replay", 3, "zppo.replay: expected a group of keys, got 3"),
        ("threshold", "half", "zppo.threshold: expected a number, got 'half'"),
        ("threshold", 0, "zppo.threshold: 0.0 is out of range; it must be greater than 0.0 and at most 1.0"),
        ("threshold", 1.01, "zppo.threshold: 1.01 is out of range"),
        ("threshold", float("nan"), "zppo.threshold: expected a number, got nan"),
        ("threshold", None, "zppo.threshold: must not be null"),
        (
            "replay.fraction",
            -0.1,
            "zppo.replay.fraction: -0.1 is out of range; it must be at least 0.0 and at most 1.0",
        ),
        ("reformulation.fraction", 1.5, "zppo.reformulation.fraction: 1.5 is out of range"),
        ("replay.capacity", 0, "zppo.replay.capacity: 0 is out of range; it must be at least 1"),
        ("replay.capacity", 2.5, "zppo.replay.capacity: expected a whole number, got 2.5"),
        ("replay.enable", "yes please", "zppo.replay.enable: expected true or false"),
        ("seed", True, "zppo.seed: expected a whole number, got True"),
        ("updates_per_step", 0, "zppo.updates_per_step: 0 is out of range"),
        ("reformulation.schedule", "later", "'later' is not one of same_step, next_step"),
        ("compression.mode", "zip", "'zip' is not one of teacher, truncate, none"),
        ("advantage_norm", "all", "'all' is not one of without_zero, with_zero, none"),
        ("reward.grader", "math-verify", "'math-verify' is not one of paper, careful"),
        ("advantage_eps", 0.0, "zppo.advantage_eps: 0.0 is out of range; it must be greater than 0.0"),
        ("teacher.inference", 3, "zppo.teacher.inference: expected a group of keys, got 3"),
        ("teacher.path", None, "zppo.teacher.path: this method needs a teacher"),
        ("teacher.path", "", "zppo.teacher.path: expected a text, got ''"),
        ("teacher.top_k", 0, "zppo.teacher.top_k: 0 samples from nothing"),
        (
            "teacher.request_timeout_s",
            9e9,
            "zppo.teacher.request_timeout_s: 9000000000.0 is longer than zppo.teacher.step",
        ),
        ("timeouts.rollout_s", 9e9, "zppo.timeouts.rollout_s: 9000000000.0 is longer than zppo.timeouts.step_s"),
        ("reformulation", {"bcq": False, "ncq": False}, "zppo.reformulation.enable: nothing to build"),
        ("reformulation", {"hint": True}, "zppo.reformulation.hint: bcq and hint are rivals"),
        ("reformulation", {"bcq": False, "hint": True, "prefix": True}, "hint and prefix are rivals"),
        ("reformulation.prefix_fraction", 1.0, "zppo.reformulation.prefix_fraction: 1.0 is out of range"),
        ("distillation.mode", "on_policy", "zppo.distillation.mode: on_policy has no reformulated questions"),
        ("distillation.topk", 0, "zppo.distillation.topk: 0 is out of range"),
        ("teacher.more", "b", "zppo.teacher.more: expected a list of texts"),
        ("teacher.more", ["t", "b", "b"], "zppo.teacher.more: a teacher is listed twice"),
        ("replay.weights", "age", "'age' is not one of uniform, entry_accuracy, visits"),
        ("dynamic_sampling", 1, "zppo.dynamic_sampling: expected true or false"),
        ("logging.rollouts_dir", "${no.such.key}", "zppo: "),
        ("", NCQ | {"teacher": {"path": "a", "more": ["b"]}}, "zppo.teacher.more: nothing asks a second teacher here"),
        ("teacher.ask", "soon", "'soon' is not one of hard, in_reach, ahead"),
        ("", NCQ | {"teacher": {"path": "a", "ask": "ahead"}}, "zppo.teacher.ask: with ahead the teacher is asked"),
        ("", ON_POLICY | {"dynamic_sampling": True}, "zppo.dynamic_sampling: a distillation loss uses no advantages"),
    ],
)
def test_a_bad_value_is_named_in_one_line(key: str, value: object, message: str) -> None:
    node = with_value(key, value)
    with pytest.raises(ConfigError) as error:
        validate_zppo(OmegaConf.create(node) if isinstance(value, str) and "$" in value else node)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@given(threshold=st.floats(0, 1, exclude_min=True), fraction=st.floats(0, 1), capacity=st.integers(1, 10**9))
def test_values_in_range_are_kept(threshold: float, fraction: float, capacity: int) -> None:
    config = validate_zppo(VALID | {"threshold": threshold, "replay": {"fraction": fraction, "capacity": capacity}})
    assert (config.threshold, config.replay.fraction, config.replay.capacity) == (threshold, fraction, capacity)


@given(value=st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers())))
def test_any_value_is_taken_or_refused_in_one_line(value: object) -> None:
    for key in ("threshold", "seed", "replay", "compression.mode", "teacher.path", "logging.text_limit"):
        node: dict = {"teacher": dict(VALID["teacher"])}
        *groups, leaf = key.split(".")
        for group in groups:
            node.setdefault(group, {})
        (node[groups[0]] if groups else node)[leaf] = value
        try:
            validate_zppo(node)
        except ConfigError as error:
            assert str(error).startswith(f"zppo.{key}") and "\n" not in str(error)


def test_overrides_are_checked_against_the_schema_before_hydra_sees_them() -> None:
    check_overrides(
        ["zppo.replay.fraction=0.5", "+zppo.teacher.inference.dtype=float32", "data.seed=3", "--cfg", "job"]
    )
    for override in ("zppo.replay.fractoin=1", "+zppo.repaly.fraction=1", "zppo.threshold.x=1"):
        with pytest.raises(ConfigError, match=r"^zppo\."):
            check_overrides([override])


@pytest.mark.parametrize(
    ("node", "kinds", "teacher"),
    [
        ({}, (Kind.BCQ, Kind.NCQ), True),
        (OFF, (), False),
        (ON_POLICY, (), True),
        (OFF | {"distillation": {"mode": "off_policy"}}, (Kind.TEACHER,), True),
        (NCQ, (Kind.NCQ,), True),  # to compress
        (NCQ | {"compression": {"mode": "truncate"}}, (Kind.NCQ,), False),
        (NCQ | {"compression": {"mode": "none"}}, (Kind.NCQ,), False),
        ({"reformulation": {"ncq": False}, "compression": {"mode": "none"}}, (Kind.BCQ,), True),
        ({"reformulation": {"bcq": False, "hint": True}}, (Kind.HINT, Kind.NCQ), True),
    ],
)
def test_what_a_method_asks_of_the_teacher(node: dict, kinds: tuple[Kind, ...], teacher: bool) -> None:
    config = validate_zppo(VALID | node)
    assert (config.kinds, config.needs_teacher) == (kinds, teacher)
    if not teacher:
        assert not validate_zppo(node).placed_teachers
