"""Secrets taken out of what is kept or shown: a run's record, its trackers, a dry run's page, a model card.

A secret is known by its name, not by its looks:

- An environment variable (a name in capitals) of which `KEY`, `TOKEN`, `SECRET` or the like is a word: `WANDB_API_KEY`,
  not `TOKENIZERS_PARALLELISM`.
- A setting whose last word is one: `api_key`, `access_token`, `password`, not `api_key_env` nor `max_tokens`. Names of
  columns (`prompt_key`) and a tokenizer's tokens (`pad_token`) are none.

Only texts and numbers are blotted: null, true and false stay.
"""

import re
import shlex
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

BLOT = "***"

_VARIABLE = re.compile(r"PASSW|PASSPHRASE|CREDENTIAL|SECRET|(^|_)(API|AUTH|ACCESS)?(KEYS?|TOKEN)(_|$)")
_SETTING = re.compile(r"(^|_)((api|auth|access)?(key|token)|api_?keys|secrets?|passw\w*|passphrase|credentials?)$")
_HARMLESS = re.compile(
    r"(prompt|prompt_id|image|video|audio|reward_fn|teacher|data_source|reward_model|messages|tools|response|thinking)_key$"
    r"|(^|_)(bos|eos|pad|unk|cls|sep|mask|stop|start|end|image|video|audio|think|per)_token$"
)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|-")
_FIELD = re.compile(r"([\w-]+)[\"']?\s*:")
"""`name:` within a dictionary on the command line."""
_FROM_ENVIRONMENT = re.compile(r"\$\{oc\.env:\s*(\w+)")


def is_secret(name: str) -> bool:
    """Whether what has this name, without the path to it, is a secret."""
    if name.isupper():
        return bool(_VARIABLE.search(name))
    name = _WORDS.sub("_", name).lower()
    return bool(_SETTING.search(name)) and not _HARMLESS.search(name)


def blotted(config: DictConfig) -> DictConfig:
    """A copy with `***` for every secret, and for what refers to one; not resolved."""
    return OmegaConf.create(_blotted(OmegaConf.to_container(config), secret=False))


def blotted_command(arguments: Sequence[str]) -> str:
    """A command line that a shell can take, with `***` for the secrets in its `name=value`."""
    return shlex.join(map(_argument, arguments))


def _blotted(node: Any, secret: bool) -> Any:
    if isinstance(node, dict):
        return {name: _blotted(value, secret or is_secret(str(name))) for name, value in node.items()}
    if isinstance(node, list):
        return [_blotted(value, secret) for value in node]
    if node in (None, "") or isinstance(node, bool):
        return node
    return BLOT if secret or any(map(is_secret, _FROM_ENVIRONMENT.findall(str(node)))) else node


def _argument(argument: str) -> str:
    name, equals, value = argument.partition("=")
    last = re.split(r"[./@]", name.lstrip("+~-"))[-1]
    if not equals or value.lower() in ("", "null", "true", "false"):
        return argument
    return f"{name}={BLOT}" if is_secret(last) or any(map(is_secret, _FIELD.findall(value))) else argument
