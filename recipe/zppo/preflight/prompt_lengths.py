"""Whether enough prompts fit `data.max_prompt_length`, counted by the student's own tokenizer before Ray starts.

The data set leaves out longer prompts when it is loaded (`recipe.zppo.on_verl.dataset`), minutes into the start. Here
rows are counted only until a step's worth of them fit, which for most data is the first ones. Images and videos count
as nothing, so that what is refused can't fit with them either.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError, first_line
from recipe.zppo.on_verl.dataset import closer_tokens
from recipe.zppo.preflight.data_columns import DATA_SET
from recipe.zppo.preflight.data_files import has_question, local_files, named_rows
from recipe.zppo.preflight.model_files import has_chat_template, model_folder
from recipe.zppo.preflight.models import loaded_tokenizer


def check_prompt_lengths(config: DictConfig, zppo: ZPPOConfig) -> None:
    """Nothing is checked of a model that is not on this machine, of remote files, nor for a data set class of the
    user's.

    Raises:
        ConfigError: fewer training prompts than `data.train_batch_size` fit, or no validation prompt; with the shortest
            one that does not.
    """
    data, model = config.data, config.actor_rollout_ref.model
    if data.custom_cls.path != DATA_SET:
        return  # it may read other prompts than these, and leave out others
    path = model.get("tokenizer_path") or model.path
    folder = model_folder(path)
    template = model.get("custom_chat_template")
    if folder is None or not data.filter_overlong_prompts or not (template or has_chat_template(folder)):
        return
    if not Path(path).expanduser().is_dir() and not any(folder.glob("*token*")) and not any(folder.glob("vocab*")):
        return  # the hub's cache has the config alone
    tokenizer = loaded_tokenizer(folder, trust_remote_code=bool(model.get("trust_remote_code")))
    tokenizer.chat_template = template or tokenizer.chat_template
    if not tokenizer.chat_template:
        return  # the processor's
    for key, needed in (("train_files", data.train_batch_size), ("val_files", 1)):
        files = local_files(data, key)
        if isinstance(data[key], str) or len(files) == len(data[key]):
            _check(data, key, files, needed, tokenizer)


def _check(data: DictConfig, key: str, files: list[str], needed: int, tokenizer: Any) -> None:
    limit, options = data.max_prompt_length, dict(data.get("apply_chat_template_kwargs") or {})
    room = limit - closer_tokens(tokenizer)
    fitting, longer = 0, []
    for where, messages in _prompts(files, f"data.{key}", data):
        try:
            text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **options)
        except Exception as error:  # a template raises what it likes
            raise ConfigError(f"data.{key}: {where}: the chat template can't show it: {first_line(error)}") from error
        length = len(tokenizer.encode(text, add_special_tokens=False))
        if length > room:
            longer.append((length, where))
            continue
        fitting += 1
        if fitting == needed:
            return
    if longer:  # else there are too few rows, which another check says
        length, where = min(longer)
        raise ConfigError(
            f"data.max_prompt_length: {limit} tokens hold {fitting} of {fitting + len(longer)} prompts of data.{key}, "
            f"and it takes {needed}; the shortest of the others, {where}, needs {length + limit - room} with the "
            "closer: set at least that, or give shorter prompts"
        )


def _prompts(files: list[str], key: str, data: DictConfig) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for file in files:
        for number, row in enumerate(named_rows(file, key, data)):
            messages = row[data.prompt_key]
            if has_question(messages):  # what has none is said by another check
                said = [message for message in messages if message.get("content") is not None]
                yield f"{file} row {number}", [message | {"content": text_of(message)} for message in said]


def text_of(message: dict[str, Any]) -> str:
    """Pictures count as nothing."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))
