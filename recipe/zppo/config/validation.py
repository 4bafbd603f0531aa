"""From the `zppo:` node of a composed config to the typed `ZPPOConfig`, or one line that says what to change."""

import typing
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from recipe.zppo.config.address import check_address
from recipe.zppo.config.engine import first_mistake, is_group, unknown_key
from recipe.zppo.config.hardware import parse_hardware
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError, first_line
from recipe.zppo.methods import HELPED, METHODS
from recipe.zppo.reward_result import comparison


def validate_zppo(node: DictConfig | Mapping[str, Any]) -> ZPPOConfig:
    """The typed `zppo:` node.

    Args:
        node: `config.zppo` of the composed config (interpolations reach the rest of the config), or a plain mapping.

    Raises:
        ConfigError: one line that names the full key; for an unknown key, a wrong type, a value out of range, or a
            combination that cannot work.
    """
    if isinstance(node, DictConfig):
        try:
            node = OmegaConf.to_container(node, resolve=True)
        except OmegaConfBaseException as error:
            raise ConfigError(f"zppo: {first_line(error)}") from error
    try:
        config = ZPPOConfig.model_validate(node)
    except ValidationError as error:
        raise ConfigError(first_mistake(error, ZPPOConfig, "zppo")) from None
    _check_combinations(config)
    return config


def check_key(key: str) -> None:
    """Raise ConfigError when `key`, dotted and starting with `zppo`, is not in the schema."""
    hint: Any = ZPPOConfig
    path = "zppo"
    for part in key.split(".")[1:]:
        if not is_group(hint):
            if typing.get_origin(hint) is dict:
                return
            raise ConfigError(f"{key}: {path} is a value, it has no keys of its own")
        if part not in hint.model_fields:
            raise ConfigError(unknown_key(part, hint.model_fields, path, full=True))
        hint, path = hint.model_fields[part].annotation, f"{path}.{part}"


def _check_combinations(config: ZPPOConfig) -> None:
    _check_method(config)
    _check_teacher(config)
    _check_endpoint(config)
    _check_limits(config)


def _check_method(config: ZPPOConfig) -> None:
    reformulation, mode = config.reformulation, config.distillation.mode
    helped = [kind.value for kind in HELPED if getattr(reformulation, kind.value)]
    if reformulation.enable and not helped and not reformulation.ncq:
        raise ConfigError(
            "zppo.reformulation.enable: nothing to build with bcq, ncq, hint and prefix all false; "
            "set zppo.reformulation.enable=false, or one of the four to true"
        )
    if reformulation.enable and len(helped) > 1:
        raise ConfigError(
            f"zppo.reformulation.{helped[1]}: {' and '.join(helped)} are rivals, a hard question gets one of them; "
            f"set zppo.reformulation.{helped[0]}=false or zppo.reformulation.{helped[1]}=false"
        )
    late = [kind.value for kind in config.kinds if METHODS[kind].asks_after_cap]
    if late and reformulation.pre_cap == "admissible":
        raise ConfigError(
            f"zppo.reformulation.pre_cap: {late[0]} asks the teacher about the questions that the cap has kept, so it "
            "can't count solved ones only; set it to hard"
        )
    if mode != "none" and reformulation.enable:
        raise ConfigError(
            f"zppo.distillation.mode: {mode} has no reformulated questions, nothing but loss and sequences differs; "
            "set zppo.reformulation.enable=false (method=off_distill and the like do)"
        )
    if mode == "off_policy" and reformulation.schedule == "next_step":
        raise ConfigError(
            "zppo.reformulation.schedule: next_step would only delay the teacher's sequences by a step; "
            "set it to same_step for off-policy distillation"
        )
    if mode != "none" and config.dynamic_sampling:
        raise ConfigError(
            "zppo.dynamic_sampling: a distillation loss uses no advantages, trivial groups teach as well; "
            "set it to false, or zppo.distillation.mode=none"
        )


def _check_teacher(config: ZPPOConfig) -> None:
    if config.needs_teacher and config.teacher.path is None:
        raise ConfigError(
            "zppo.teacher.path: this method needs a teacher; set it to a model folder or hub id, "
            "or choose one without (method=grpo_replay, method=grpo, with zppo.judge.enable=false)"
        )
    if config.teacher.more and not config.asks_teacher:
        raise ConfigError(
            "zppo.teacher.more: nothing asks a second teacher here; leave it empty, or build BCQ, hints or prefixes"
        )
    if config.teacher.ask != "hard" and not config.asks_hard:
        raise ConfigError(
            f"zppo.teacher.ask: with {config.teacher.ask} the teacher is asked before the caps are known to reach a "
            "question, as for BCQ, and this method does not ask so; set it to hard"
        )
    if len(set(config.teacher_paths)) < len(config.teacher_paths):
        raise ConfigError("zppo.teacher.more: a teacher is listed twice; name each once")
    for route in ("route", "validation_route"):
        if getattr(config.judge, route) == "unresolved" and not config.judge.enable:
            raise ConfigError(
                f"zppo.judge.{route}: there is no judge for what the reward function leaves unresolved; set "
                f"zppo.judge.enable=true, or zppo.judge.{route}=free_form"
            )


def _check_limits(config: ZPPOConfig) -> None:
    if config.teacher.request_timeout_s > config.teacher.step_timeout_s:
        raise ConfigError(
            f"zppo.teacher.request_timeout_s: {config.teacher.request_timeout_s} is longer than "
            f"zppo.teacher.step_timeout_s={config.teacher.step_timeout_s}; a request can't outlast its step"
        )
    if config.timeouts.rollout_s > config.timeouts.step_s:
        raise ConfigError(
            f"zppo.timeouts.rollout_s: {config.timeouts.rollout_s} is longer than "
            f"zppo.timeouts.step_s={config.timeouts.step_s}; a group can't outlast its step"
        )
    if config.reward.binarize is not None:
        comparison(config.reward.binarize)
    if config.hardware is not None:
        parse_hardware(config.hardware)
    least, most = config.data.min_pixels, config.data.max_pixels
    if least and most and least > most:
        raise ConfigError(f"zppo.data.min_pixels: {least} is more than zppo.data.max_pixels={most}; lower it")
    if config.teacher.top_k == 0:
        raise ConfigError("zppo.teacher.top_k: 0 samples from nothing; set -1 for the whole vocabulary, or at least 1")


def _check_endpoint(config: ZPPOConfig) -> None:
    teacher, key = config.teacher, "zppo.teacher.base_url"
    check_address(key, teacher.base_url, "zppo.teacher.api_key_env", teacher.api_key_env)
    if teacher.openai_fields_only and (teacher.base_url is None or teacher.top_k != -1):
        reason = (
            "a top-k is no field of OpenAI's" if teacher.base_url else "there is no endpoint (zppo.teacher.base_url)"
        )
        remedy = "zppo.teacher.top_k=-1" if teacher.base_url else "false"
        raise ConfigError(f"zppo.teacher.openai_fields_only: {reason}; set {remedy}")
    if teacher.base_url is not None and config.distillation.mode != "none":
        raise ConfigError(
            f"{key}: distillation needs the teacher's probabilities of every token, which chat completions don't give; "
            "set it to null and give the teacher accelerators (zppo.teacher.n_gpus_per_node)"
        )
