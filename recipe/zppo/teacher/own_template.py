"""The judge's template: ours, or the file that `zppo.judge.template` names."""

from pathlib import Path

from recipe.zppo.errors import ConfigError, PromptError
from recipe.zppo.judge import JUDGE, judge_template
from recipe.zppo.prompts import Template

_KEY = "zppo.judge.template"

MAX_BYTES = 65_536


def load_judge_template(path: str | None) -> Template:
    """
    Raises:
        ConfigError: the file is missing or no UTF-8 text, is too long, or its placeholders are wrong.
    """
    if path is None:
        return JUDGE
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{_KEY}: {path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{_KEY}: {path} is no text in UTF-8") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{_KEY}: {path} has more than {MAX_BYTES} bytes; that is no template")
    try:
        return judge_template(text)
    except PromptError as error:
        raise ConfigError(f"{_KEY}: {path}: {error}") from error
