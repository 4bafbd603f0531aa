"""Everything about a run that can be known before Ray starts, each failure as a ConfigError of one line."""

import dataclasses
from collections.abc import Callable, Iterator

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from recipe.zppo.config.engine import did_you_mean
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError, first_line
from recipe.zppo.on_verl.teacher_inference import PARALLEL_SIZES
from recipe.zppo.preflight.agent_loop import check_agent_loop, check_agent_names
from recipe.zppo.preflight.answers import check_answers
from recipe.zppo.preflight.batch import check_batch, check_enough_rows, require_whole
from recipe.zppo.preflight.benchmarks import check_benchmarks
from recipe.zppo.preflight.checkpoints import check_ranks, check_resume, check_saving
from recipe.zppo.preflight.cpu_build import check_cpu_build
from recipe.zppo.preflight.data_columns import check_columns, check_named_columns
from recipe.zppo.preflight.data_files import check_training_files, check_validation_files
from recipe.zppo.preflight.distillation import check_distillation
from recipe.zppo.preflight.endpoint import check_endpoint
from recipe.zppo.preflight.loggers import check_loggers
from recipe.zppo.preflight.lora import check_lora
from recipe.zppo.preflight.media import check_media
from recipe.zppo.preflight.model_files import check_model_files
from recipe.zppo.preflight.models import check_models, check_packing, planned_elsewhere
from recipe.zppo.preflight.optimizer import check_optimizer
from recipe.zppo.preflight.policy_loss import check_policy_loss
from recipe.zppo.preflight.prompt_lengths import check_prompt_lengths
from recipe.zppo.preflight.reward_function import check_reward_function
from recipe.zppo.preflight.values import check_overrides, check_values
from recipe.zppo.preflight.verl_keys import check_settings
from recipe.zppo.teacher.own_template import load_judge_template

PAPERS = "pkg://recipe.zppo.reward"


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
    """What the checks of a run raise, from the cheapest to the dearest.

    A later check presumes that earlier ones passed: after a first failure, what else it raises says nothing.
    """
    judge, own = zppo.judge, has_own_reward(config)
    papers = config.reward.custom_reward_function.path == PAPERS
    training, validation = (judge.route, judge.validation_route) if judge.enable else (None, None)
    checks: list[Callable[[], object]] = [
        lambda: check_settings(config),
        lambda: check_agent_loop(config, zppo),
        lambda: check_answers(zppo),
        lambda: check_batch(config, zppo),
        lambda: check_resume(config),
        lambda: check_ranks(config),
        lambda: check_saving(config, zppo),
        lambda: check_loggers(config),
        lambda: check_teacher_pool(config, zppo),
        lambda: check_distillation(config, zppo),
        lambda: check_policy_loss(config),
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
        lambda: check_validation_files(config.data, validation, own, papers),
        lambda: check_enough_rows(
            config, check_training_files(config.data, zppo.data.prompt_id_key, training, own, papers)
        ),
        lambda: check_agent_names(config, zppo),
        lambda: check_named_columns(config.data),
        lambda: check_prompt_lengths(config, zppo),
        lambda: check_media(config, zppo),
        lambda: None if planned_elsewhere(config) else check_endpoint(zppo),
    ]
    failed = False
    for check in checks:
        try:
            check()
        except ConfigError as error:
            failed = True
            yield error
        except MissingMandatoryValue as error:
            failed = True
            yield ConfigError(f"a mandatory key is not set: {first_line(error)}")
        except Exception:
            if not failed:
                raise


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
        require_whole(f"zppo.teacher.inference.{name}", value, 1)
        replica *= value
    check_overrides(zppo.teacher.inference, "zppo.teacher.inference")
    pool = zppo.teacher.n_gpus_per_node * zppo.teacher.nnodes
    if pool % replica:
        raise ConfigError(
            f"zppo.teacher.n_gpus_per_node: a pool of {pool} (times nnodes) can't be filled by replicas of {replica} "
            "(tensor x data x pipeline parallel size in zppo.teacher.inference)"
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
