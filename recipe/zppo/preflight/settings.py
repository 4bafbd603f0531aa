"""Everything about a run that can be known before Ray starts, each failure as a ConfigError of one line."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from recipe.zppo.config.engine import did_you_mean
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError, first_line
from recipe.zppo.on_verl.teacher_inference import PARALLEL_SIZES
from recipe.zppo.preflight.answers import check_answers
from recipe.zppo.preflight.benchmarks import check_benchmarks
from recipe.zppo.preflight.cpu_build import check_cpu_build
from recipe.zppo.preflight.data_columns import check_columns, check_named_columns
from recipe.zppo.preflight.data_files import check_training_files, check_validation_files
from recipe.zppo.preflight.endpoint import check_endpoint
from recipe.zppo.preflight.loggers import check_loggers
from recipe.zppo.preflight.lora import check_lora
from recipe.zppo.preflight.media import check_media
from recipe.zppo.preflight.model_files import check_model_files
from recipe.zppo.preflight.models import check_models, check_packing, planned_elsewhere
from recipe.zppo.preflight.optimizer import check_optimizer
from recipe.zppo.preflight.prompt_lengths import check_prompt_lengths
from recipe.zppo.preflight.reward_function import check_reward_function
from recipe.zppo.preflight.values import check_values
from recipe.zppo.run.checkpoint_files import latest_complete
from recipe.zppo.selection import reformulation_cap
from recipe.zppo.teacher.own_template import load_judge_template

# Nodes of verl's pre-V1 layout, which still compose but which V1 never reads; the live ones are below `reward`.
LEGACY = {
    "custom_reward_function": "reward.custom_reward_function",
    "reward_model": "reward.reward_model, reward.reward_manager or reward.num_workers",
    "sandbox_fusion": "reward.sandbox_fusion",
}

# Keys that only verl's code before V1 reads, or none: key, verl's default, what to do instead.
UNREAD: tuple[tuple[str, Any, str], ...] = (
    ("actor_rollout_ref.actor.grad_clip", 1.0, "set actor_rollout_ref.actor.optim.clip_grad"),
    ("actor_rollout_ref.actor.freeze_vision_tower", False, "verl 0.9.1 trains the vision tower; leave it false"),
    ("actor_rollout_ref.actor.use_prefix_grouper", False, "leave it false"),
    ("actor_rollout_ref.rollout.over_sample_rate", 0, "leave it 0"),
    ("actor_rollout_ref.rollout.multi_turn.num_repeat_rollouts", None, "set actor_rollout_ref.rollout.n"),
)

# Settings of verl that ZPPO's step relies on: key, the value it needs, why.
REQUIRED: tuple[tuple[str, Any, str], ...] = (
    ("trainer.use_v1", True, "ZPPO is a trainer of verl's V1"),
    ("trainer.v1.trainer_mode", "zppo", "another mode runs another trainer, and the zppo node would be ignored"),
    (
        "algorithm.adv_estimator",
        "zppo",
        "the two-step estimator of Eqs. 2 to 6; choose its form by zppo.advantage_norm",
    ),
    ("algorithm.filter_groups.enable", False, "dropped groups would miss in the accuracies that decide on hardness"),
    ("distillation.enabled", False, "it replaces the loss; the teacher of ZPPO is configured at zppo.teacher"),
    ("actor_rollout_ref.hybrid_engine", True, "rollout and update share the student's accelerators"),
    ("actor_rollout_ref.actor.ppo_epochs", 1, "a step has no second epoch; set zppo.updates_per_step instead"),
    ("actor_rollout_ref.actor.shuffle", False, "mini-batches are drawn anew in each step, whatever it says"),
    ("actor_rollout_ref.actor.data_loader_seed", 42, "it would do nothing: mini-batches follow zppo.seed, set that"),
    ("trainer.v1.sampler.sync_refill_failed_groups", False, "ZPPO counts and reports failed groups itself"),
    ("actor_rollout_ref.actor.checkpoint.async_save", False, "a checkpoint would be published before it is written"),
    ("data.return_raw_chat", True, "reformulated prompts are built from chat messages"),
)


def check_config(config: DictConfig) -> ZPPOConfig:
    """Check a composed config, its data files and its model paths; nothing is changed and Ray is not touched.

    Returns the typed `zppo` node. Raises ConfigError, from the cheapest check to the dearest.
    """
    check_values(config)  # first: keys of ours point to some of these
    zppo = validate_zppo(config.zppo)
    for problem in _failures(config, zppo):
        raise problem
    return zppo


def find_problems(config: DictConfig) -> list[str]:
    """What `check_config` would raise, but all of it: one line for each key that fails.

    Later checks presume that earlier ones passed, so of several failures of one key the first is said.
    """
    try:
        check_values(config)
        zppo = validate_zppo(config.zppo)
    except ConfigError as error:
        return [str(error)]
    problems: dict[str, str] = {}
    for line in map(str, _failures(config, zppo)):
        problems.setdefault(line.partition(": ")[0], line)
    return list(problems.values())


def _failures(config: DictConfig, zppo: ZPPOConfig) -> Iterator[ConfigError]:
    """What the checks of a run raise, from the cheapest to the dearest."""
    judge, own = zppo.judge, has_own_reward(config)
    training, validation = (judge.route, judge.validation_route) if judge.enable else (None, None)
    checks: list[Callable[[], object]] = [
        lambda: check_settings(config),
        lambda: check_answers(zppo),
        lambda: check_batch(config, zppo),
        lambda: check_resume(config),
        lambda: check_ranks(config),
        lambda: check_saving(config, zppo),
        lambda: check_loggers(config),
        lambda: check_teacher_pool(config, zppo),
        lambda: check_distillation(config, zppo),
        lambda: check_optimizer(config, zppo),
        lambda: check_lora(config, zppo),
        lambda: check_key_is_not_logged(config, zppo),
        lambda: check_columns(config.data),
        lambda: check_reward_function(config),
        lambda: check_judge_template(zppo),
        lambda: check_benchmarks(config, zppo),
        lambda: check_models(config, zppo),
        lambda: check_model_files(config, zppo),
        lambda: check_packing(config),
        lambda: check_cpu_build(config, zppo),
        lambda: check_validation_files(config.data, validation, own),
        lambda: check_enough_rows(config, check_training_files(config.data, zppo.data.prompt_id_key, training, own)),
        lambda: check_named_columns(config.data),
        lambda: check_prompt_lengths(config, zppo),
        lambda: check_media(config, zppo),
        lambda: None if planned_elsewhere(config) else check_endpoint(zppo),
    ]
    for check in checks:
        try:
            check()
        except ConfigError as error:
            yield error
        except MissingMandatoryValue as error:
            yield ConfigError(f"a mandatory key is not set: {first_line(error)}")


def check_settings(config: DictConfig) -> None:
    """Legacy keys that do nothing, and settings under which ZPPO's step would not be what it says."""
    for node, instead in LEGACY.items():
        for key in _set_leaves(config.get(node), node):
            raise ConfigError(f"{key}: verl's V1 trainer ignores this key; set {instead}")
    for key, default, instead in UNREAD:
        if (value := OmegaConf.select(config, key, default=default)) != default:
            raise ConfigError(f"{key}: {_yaml(value)} would do nothing: verl's V1 trainer never reads it; {instead}")
    for key, needed, why in REQUIRED:
        value = OmegaConf.select(config, key)
        if value != needed:
            shown, wanted = _yaml(value), _yaml(needed)
            raise ConfigError(f"{key}: must be {wanted}, got {shown}: {why}")
    if config.trainer.get("val_only") and not config.trainer.val_before_train:
        raise ConfigError("trainer.val_only: verl would train; it validates only with trainer.val_before_train=true")
    manager = "actor_rollout_ref.rollout.agent.agent_loop_manager_class"
    if not OmegaConf.select(config, manager):
        raise ConfigError(f"{manager}: must be set; without it verl's own manager would run, and no reformulation")


def check_batch(config: DictConfig, zppo: ZPPOConfig) -> None:
    """Group size, batch size and the numbers derived from them."""
    size, group = config.data.train_batch_size, config.actor_rollout_ref.rollout.n
    _require_whole("data.train_batch_size", size, 1)
    _require_whole("actor_rollout_ref.rollout.n", group, 1)
    if group < 2:
        raise ConfigError(
            "actor_rollout_ref.rollout.n: a group of 1 has no advantage (its mean is its reward); set at least 2"
        )
    if size < zppo.updates_per_step:
        raise ConfigError(
            f"zppo.updates_per_step: {zppo.updates_per_step} updates can't share data.train_batch_size={size} prompts; "
            "each update needs at least one"
        )
    mini = config.actor_rollout_ref.actor.ppo_mini_batch_size
    if mini != size:
        raise ConfigError(
            f"actor_rollout_ref.actor.ppo_mini_batch_size: {mini} would be ignored; a step has zppo.updates_per_step "
            "equal mini-batches, so set that, and leave this key at ${data.train_batch_size}"
        )
    gen = config.data.get("gen_batch_size")
    if gen not in (None, size):
        raise ConfigError(f"data.gen_batch_size: {gen} would be ignored; leave it null, or at data.train_batch_size")
    for name, part in (("replay", zppo.replay), ("reformulation", zppo.reformulation)):
        if part.enable and reformulation_cap(part.fraction, size) < 1:
            raise ConfigError(
                f"zppo.{name}.fraction: {part.fraction} of data.train_batch_size={size} is less than one prompt; "
                f"raise one of the two, or set zppo.{name}.enable=false"
            )


def check_enough_rows(config: DictConfig, num_rows: int | None) -> None:
    """A step needs a full batch of new prompts: verl drops the last, incomplete one. None: their number is unknown."""
    if num_rows is None:
        return
    size, most = config.data.train_batch_size, config.data.get("train_max_samples", -1)
    usable = min(num_rows, most) if most and most > 0 else num_rows
    if usable < size:
        raise ConfigError(
            f"data.train_batch_size: {size} new prompts a step can't be met by {usable} training rows; "
            "lower it, or give more data"
        )
    steps, wanted = usable // size * config.trainer.total_epochs, config.trainer.total_training_steps
    if wanted is not None and wanted > steps:
        raise ConfigError(
            f"trainer.total_training_steps: {wanted} steps of {size} prompts are more than the {steps} that "
            f"{usable} rows and trainer.total_epochs={config.trainer.total_epochs} give; raise the epochs or lower it"
        )


def check_saving(config: DictConfig, zppo: ZPPOConfig) -> None:
    """The final model is written from a checkpoint, and verl saves one at the end only if it saves at all."""
    if zppo.export.hf_model and config.trainer.save_freq <= 0:
        raise ConfigError(
            f"zppo.export.hf_model: the model is written from the last checkpoint, but trainer.save_freq="
            f"{config.trainer.save_freq} saves none; set a positive one, or zppo.export.hf_model=false"
        )


def check_resume(config: DictConfig) -> None:
    """`resume_mode` and `resume_from_path` agree, and the folder is there."""
    trainer = config.trainer
    mode, path = trainer.resume_mode, trainer.resume_from_path
    if mode != "resume_path":
        if path:
            raise ConfigError(
                f"trainer.resume_from_path: ignored while trainer.resume_mode={mode}; "
                "set trainer.resume_mode=resume_path"
            )
        return
    if not path:
        raise ConfigError(
            "trainer.resume_from_path: set it to a folder global_step_<N>, as resume_mode=resume_path asks"
        )
    folder = Path(str(path))
    step = folder.name.removeprefix("global_step_")
    if step == folder.name or not step.isdigit():
        raise ConfigError(f"trainer.resume_from_path: {path} does not end in global_step_<N>")
    if not folder.is_dir():
        raise ConfigError(f"trainer.resume_from_path: the folder {path} does not exist")


def check_ranks(config: DictConfig) -> None:
    """Verl's FSDP shards load on as many ranks as wrote them; another number would fail in the workers."""
    trainer = config.trainer
    if trainer.resume_mode == "disable":
        return
    named = trainer.resume_mode == "resume_path"
    path = trainer.resume_from_path if named else latest_complete(str(trainer.default_local_dir))
    try:
        saved = json.loads((Path(str(path)) / "actor" / "fsdp_config.json").read_text()).get("world_size")
    except (OSError, ValueError, AttributeError):
        return  # none, or not FSDP's
    ranks = trainer.n_gpus_per_node * trainer.nnodes
    if isinstance(saved, int) and saved != ranks:
        raise ConfigError(
            f"trainer.n_gpus_per_node: {path} was saved by {saved} ranks and can be taken up by as many only, not by "
            f"n_gpus_per_node x nnodes = {ranks}; use as many, or train on from its exported model in another "
            "trainer.default_local_dir"
        )


def check_teacher_pool(config: DictConfig, zppo: ZPPOConfig) -> None:
    """The teacher's replicas fill its pool, and its overrides are keys of verl's rollout config."""
    if not zppo.placed_teachers:
        return
    from verl.workers.config import RolloutConfig

    known = [field.name for field in dataclasses.fields(RolloutConfig)]
    for key in zppo.teacher.inference:
        if key not in known:
            hint = did_you_mean(key, known, "zppo.teacher.inference.", otherwise="")
            raise ConfigError(f"zppo.teacher.inference.{key}: not a key of verl's rollout config{hint and '; '}{hint}")
    replica = 1
    for name in PARALLEL_SIZES:
        value = zppo.teacher.inference.get(name, 1)
        _require_whole(f"zppo.teacher.inference.{name}", value, 1)
        replica *= value
    pool = zppo.teacher.n_gpus_per_node * zppo.teacher.nnodes
    if pool % replica:
        raise ConfigError(
            f"zppo.teacher.n_gpus_per_node: a pool of {pool} (times nnodes) can't be filled by replicas of {replica} "
            "(tensor x data x pipeline parallel size in zppo.teacher.inference)"
        )


# What the distillation loss needs of the student's engine: key, whether its value will do, what to set, why.
_DISTILLATION: tuple[tuple[str, Callable[[Any], bool], str, str], ...] = (
    (
        "actor_rollout_ref.model.use_fused_kernels",
        lambda value: not value,
        "false",
        "the fused LM head gives no logits, which the divergence is computed from",
    ),
    (
        "actor_rollout_ref.actor.strategy",
        lambda value: value in ("fsdp", "fsdp2"),
        "fsdp or fsdp2",
        "the divergence is computed from logits over the whole vocabulary, which other engines split",
    ),
    (
        "actor_rollout_ref.rollout.calculate_log_probs",
        bool,
        "true",
        "they stand in for the old log-probs, which are in no loss here",
    ),
    (
        "actor_rollout_ref.rollout.temperature",
        lambda value: value == 1,
        "1.0",
        "verl divides the student's logits by it, and the teacher's scores are those of temperature 1",
    ),
    ("actor_rollout_ref.actor.use_kl_loss", lambda value: not value, "false", "the divergence is the whole loss"),
    ("actor_rollout_ref.actor.entropy_coeff", lambda value: value == 0, "0", "the divergence is the whole loss"),
)


def check_distillation(config: DictConfig, zppo: ZPPOConfig) -> None:
    """With `zppo.distillation.mode`: an engine that can compute the divergence, and one teacher to diverge from."""
    mode = zppo.distillation.mode
    if mode == "none":
        return
    for key, fits, wanted, why in _DISTILLATION:
        value = OmegaConf.select(config, key)
        if not fits(value):
            raise ConfigError(f"{key}: must be {wanted} with zppo.distillation.mode={mode}, got {_yaml(value)}: {why}")
    aggregation = config.actor_rollout_ref.actor.loss_agg_mode
    if mode == "off_policy" and aggregation != "token-mean":
        raise ConfigError(
            "actor_rollout_ref.actor.loss_agg_mode: must be token-mean with zppo.distillation.mode=off_policy, got "
            f"{_yaml(aggregation)}: Alg. 2 says how its loss is averaged"
        )
    if zppo.teacher.more:
        raise ConfigError(
            "zppo.teacher.more: distillation scores responses with one teacher, zppo.teacher.path; leave it empty"
        )


def check_key_is_not_logged(config: DictConfig, zppo: ZPPOConfig) -> None:
    """The endpoint's key stands in the environment, not in the configuration: verl prints that, and so does Ray."""
    name = zppo.teacher.api_key_env
    variables = OmegaConf.select(config, "ray_kwargs.ray_init.runtime_env.env_vars") or {}
    if name in variables:
        raise ConfigError(
            f"ray_kwargs.ray_init.runtime_env.env_vars.{name}: would be logged; set the variable in the environment of "
            "this command only, the workers on other nodes get it from there"
        )


def check_judge_template(zppo: ZPPOConfig) -> None:
    """The judge's own template, where there is a judge and a template."""
    if zppo.judge.enable:
        load_judge_template(zppo.judge.template)


def has_own_reward(config: DictConfig) -> bool:
    """Whether answers are graded by a reward function of ours: another may know gold answers of other types."""
    return str(config.reward.custom_reward_function.path).startswith("pkg://recipe.zppo.")


def _set_leaves(node: Any, path: str) -> list[str]:
    """Dotted keys below `node` that hold a value."""
    if isinstance(node, Mapping | DictConfig):
        return [leaf for key in node for leaf in _set_leaves(node[key], f"{path}.{key}")]
    return [path] if node is not None else []


def _require_whole(key: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{key}: must be a whole number of at least {least}, got {value!r}")


def _yaml(value: Any) -> str:
    """A value as a user writes it on the command line."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
