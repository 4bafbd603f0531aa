"""Checks of the models' paths and vocabularies, and of the context that reformulated prompts and teachers need."""

import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from recipe.zppo.config.model_config import UnknownShapeError, find_config
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError, first_line
from recipe.zppo.methods import METHODS
from recipe.zppo.preflight.hub import why_not_on_hub
from recipe.zppo.prompts import BCQ, COMPRESSION
from recipe.zppo.reward import MAX_ANSWER
from recipe.zppo.teacher.own_template import load_judge_template

# `name` or `owner/name` of a model hub; anything else is a path.
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")

_TOKENIZER = ("tokenizer_config.json", "tokenizer.json")

# Tokens of a template around its candidates or response, where no tokenizer is at hand to count them.
TEMPLATE_TOKENS = 128


def check_models(config: DictConfig, zppo: ZPPOConfig) -> None:
    """Raise ConfigError when a model path is wrong or a context is too short for what ZPPO sends."""
    student, teacher = config.actor_rollout_ref.model.path, zppo.teacher.path
    elsewhere = planned_elsewhere(config)
    check_model_path(student, "actor_rollout_ref.model.path", elsewhere)
    if tokenizer := config.actor_rollout_ref.model.get("tokenizer_path"):
        check_model_path(tokenizer, "actor_rollout_ref.model.tokenizer_path", elsewhere, _TOKENIZER)
    if zppo.placed_teachers:
        check_model_path(teacher, "zppo.teacher.path", elsewhere)
        for further in zppo.teacher.more:
            check_model_path(further, "zppo.teacher.more", elsewhere)
    check_student_context(config, zppo)
    for path in zppo.placed_teachers:
        check_teacher_context(config, zppo, path)
    if zppo.distillation.mode != "none":
        check_vocabularies(student, teacher, trust_remote_code=config.actor_rollout_ref.model.trust_remote_code)


def check_model_path(
    path: str | None, key: str, elsewhere: bool = False, names: Sequence[str] = ("config.json",)
) -> None:
    """Raise ConfigError unless `path` is a folder with one of the files `names`, or a hub id that can be had.

    Args:
        elsewhere: the run is planned for other hardware, where what is not here may be.
    """
    if not path:
        raise ConfigError(f"{key}: set it to a model folder or hub id")
    if "://" in path:
        return
    folder = Path(path).expanduser()
    if folder.is_dir():
        if not any((folder / name).is_file() for name in names):
            raise ConfigError(f"{key}: {path} is a folder without {names[0]}, so not a Hugging Face model")
    elif folder.exists():
        raise ConfigError(f"{key}: {path} is a file; give the folder of a Hugging Face model")
    elif elsewhere:
        return
    elif not HUB_ID.fullmatch(path):
        raise ConfigError(f"{key}: the folder {path} does not exist")
    elif not _in_hub_cache(path, names) and (why := why_not_on_hub(path)):
        raise ConfigError(f"{key}: {path} is neither a folder nor in the local hub cache, and {why}")


def check_packing(config: DictConfig) -> None:
    """Linear attention can pack sequences only with a kernel that knows where each of them ends.

    Without flash-linear-attention verl's Qwen3.5 forward pass calls transformers' fall-back, which takes the sequence
    ends and ignores them (verl/models/transformers/qwen3_5.py:_packed_chunk_gated_delta_rule): each sequence of a
    micro-batch would begin in the state in which the one before ended.
    """
    if not config.actor_rollout_ref.model.use_remove_padding:
        return
    path = config.actor_rollout_ref.model.path
    if not str(model_config(path).get("model_type", "")).startswith(("qwen3_5", "qwen3_next")):
        return
    if config.trainer.device == "cpu" or (find_spec("fla") is None and not planned_elsewhere(config)):
        raise ConfigError(
            f"actor_rollout_ref.model.use_remove_padding: {path} has linear attention, and without "
            "flash-linear-attention, which needs a GPU, packed sequences would flow into each other; install it, or "
            "set use_remove_padding=false"
        )


def planned_elsewhere(config: DictConfig) -> bool:
    """A dry run for other machines: what is installed here says nothing about them."""
    return bool(config.zppo.get("dry_run") and config.zppo.get("hardware"))


def check_student_context(config: DictConfig, zppo: ZPPOConfig) -> None:
    """A BCQ prompt (without BCQ, an NCQ prompt with one candidate, or a hinted one) with the full response must fit.

    NCQ prompts with more candidates may be too long; such an instance is skipped and counted during the run.
    """
    path, rollout = config.actor_rollout_ref.model.path, config.actor_rollout_ref.rollout
    context = _context(path, rollout.max_model_len, "actor_rollout_ref.rollout.max_model_len")
    if context is None:
        return
    shows = max((METHODS[kind] for kind in zppo.kinds), key=lambda method: method.fewest_candidates, default=None)
    candidates = shows.fewest_candidates if shows else 0
    kind = f"{'an' if shows.label[0] in 'N' else 'a'} {shows.label} prompt" if candidates else "a prompt"
    # Whole responses are of any length up to the budget; one that does not fit is skipped and counted.
    each = 0 if zppo.compression.mode == "none" else zppo.reformulation.max_candidate_tokens
    limit = "zppo.reformulation.max_candidate_tokens"
    if zppo.writes_hint and zppo.compression.max_tokens > candidates * each:
        candidates, kind = 1, "a prompt with a hint"
        each, limit = zppo.compression.max_tokens, "zppo.compression.max_tokens"
    template = _template_tokens(path) if candidates else 0
    prompt, response = config.data.max_prompt_length, config.data.max_response_length
    needed = prompt + candidates * each + template + response
    if needed > context:
        raise ConfigError(
            f"actor_rollout_ref.rollout.max_model_len: {context} tokens of context are too few for {kind}, "
            f"{needed} = data.max_prompt_length {prompt} + {candidates} x {limit} "
            f"{each} + template {template} + data.max_response_length {response}; raise the first or lower the others"
        )


def check_teacher_context(config: DictConfig, zppo: ZPPOConfig, path: str) -> None:
    """A question with its rollout, a response with its summary or hint, and what is scored, must fit its context."""
    key = "zppo.teacher.inference.max_model_len"
    context = _context(path, zppo.teacher.inference.get("max_model_len"), key)
    if context is None:
        return
    prompt, response = config.data.max_prompt_length, zppo.teacher.response_length
    asked = zppo.asks_teacher or zppo.distillation.mode != "none"
    if asked and prompt + response > context:
        raise ConfigError(
            f"{key}: {context} tokens of context are too few for a teacher rollout, {prompt + response} = "
            f"data.max_prompt_length {prompt} + zppo.teacher.response_length {response}"
        )
    if zppo.distillation.mode != "none" and prompt + config.data.max_response_length + 1 > context:
        raise ConfigError(
            f"{key}: {context} tokens of context are too few to score a response, which takes data.max_prompt_length "
            f"{prompt} + data.max_response_length {config.data.max_response_length} + 1"
        )
    if zppo.judge.enable and path == zppo.teacher.path:
        _check_judge_context(config, zppo, context, key)
    if zppo.compresses or zppo.writes_hint:
        methods = [METHODS[kind] for kind in zppo.kinds]
        reads_own = any(each.asks_teacher and (each.fewest_candidates or each.writes_hint) for each in methods)
        longest = max(config.data.max_response_length if zppo.compresses else 0, response if reads_own else 0)
        template = _template_tokens(path, compression=True)
        needed = longest + template + zppo.compression.max_tokens
        if needed > context:
            purpose = "compress a response" if zppo.compresses else "write a hint from a response"
            raise ConfigError(
                f"{key}: {context} tokens of context are too few to {purpose}, {needed} = "
                f"response {longest} + template {template} + zppo.compression.max_tokens {zppo.compression.max_tokens}"
            )


def _check_judge_context(config: DictConfig, zppo: ZPPOConfig, context: int, key: str) -> None:
    """What the judge is asked, options apart: question, gold answer, the response, and room for the verdict."""
    judge, prompt = zppo.judge, config.data.max_prompt_length
    template = len(load_judge_template(judge.template).text) // 3  # at least so many characters a token
    needed = prompt + judge.max_answer_tokens + MAX_ANSWER + template + judge.max_tokens
    if needed > context:
        raise ConfigError(
            f"{key}: {context} tokens of context are too few to judge an answer, {needed} = data.max_prompt_length "
            f"{prompt} + zppo.judge.max_answer_tokens {judge.max_answer_tokens} + gold answer {MAX_ANSWER} + template "
            f"{template} + zppo.judge.max_tokens {judge.max_tokens}"
        )


def check_vocabularies(student: str, teacher: str, *, trust_remote_code: bool) -> None:
    """Distillation compares probabilities token by token: the same ids must mean the same tokens in both models.

    Models on a remote file system are not looked at.

    Raises:
        ConfigError: tokenizers differ, or the models' outputs have different sizes.
    """
    if "://" in student or "://" in teacher:
        return
    from transformers import AutoConfig, AutoTokenizer

    def load(auto: Any, what: str) -> list[Any]:
        return [
            _loaded(auto, os.path.expanduser(path), f"{what} of {path}", trust_remote_code=trust_remote_code)
            for path in (student, teacher)
        ]

    key = "zppo.teacher.path"
    why = "distillation needs the same vocabulary in student and teacher; choose a teacher of the student's family"
    sizes = [config.get_text_config().vocab_size for config in load(AutoConfig, "config")]
    if sizes[0] != sizes[1]:
        raise ConfigError(f"{key}: {teacher} has {sizes[1]} outputs, the student {student} has {sizes[0]}; {why}")
    own, other = (tokenizer.get_vocab() for tokenizer in load(AutoTokenizer, "tokenizer"))
    if own != other:
        differing = min({*own.items()} ^ {*other.items()}, key=lambda item: (item[1], item[0]))[0]
        raise ConfigError(
            f"{key}: the tokenizers of {teacher} and of the student {student} differ, first in {differing!r} (id "
            f"{other.get(differing)}, not {own.get(differing)}); {why}"
        )


def _loaded(auto: Any, path: str | Path, what: str, **options: bool) -> Any:
    try:
        return auto.from_pretrained(path, **options)
    except Exception as error:
        raise ConfigError(f"the {what} can't be loaded: {first_line(error)}") from error


def loaded_tokenizer(folder: Path, **options: bool) -> Any:
    """Raises `ConfigError` if it can't be loaded."""
    from transformers import AutoTokenizer

    return _loaded(AutoTokenizer, folder, f"tokenizer in {folder}", **options)


def _context(path: str, max_model_len: int | None, key: str) -> int | None:
    """Tokens of context that the servers will have; None where only the hub knows."""
    content = model_config(path)
    limit = (content.get("text_config") or content).get("max_position_embeddings")
    limit = limit if isinstance(limit, int) else None
    if max_model_len is not None and limit is not None and max_model_len > limit:
        raise ConfigError(f"{key}: {max_model_len} is more than the {limit} positions of the model {path}")
    return max_model_len if max_model_len is not None else limit


def model_config(path: str) -> dict[str, Any]:
    """A model's config.json: of its folder, the hub's cache, or the paper's models; empty where only the hub knows."""
    try:
        content, _ = find_config(path)
    except UnknownShapeError as error:
        if (Path(path).expanduser() / "config.json").is_file():
            raise ConfigError(f"{path}: {error}") from error
        return {}
    if not isinstance(content.get("text_config") or {}, dict):
        raise ConfigError(f"{path}: config.json can't be read: not a model's config")
    return content


def _template_tokens(path: str, compression: bool = False) -> int:
    """Tokens of the BCQ (or compression) template itself, by the model's own tokenizer where it is local."""
    folder = Path(path).expanduser()
    if not (folder / "tokenizer_config.json").is_file():
        return TEMPLATE_TOKENS
    text = COMPRESSION.fill(response="") if compression else BCQ.fill(candidate_1="", candidate_2="")
    tokenizer = loaded_tokenizer(folder)
    return len(tokenizer.encode(text, add_special_tokens=False))


def _in_hub_cache(name: str, files: Sequence[str]) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return any(isinstance(try_to_load_from_cache(name, file), str) for file in files)
