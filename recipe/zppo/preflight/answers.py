"""The form of an answer is one that can be asked for, read and shown; a function of the user's for it is there."""

from pathlib import Path

from recipe.zppo.answer_format import BOX, PLACE, answer_format
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError, RewardFunctionError
from recipe.zppo.preflight.try_reward import NONSENSE, told
from recipe.zppo.reward import use_reward


def check_answers(zppo: ZPPOConfig) -> None:
    """The keys `zppo.answer`; this process goes by them from then on, as whoever looks at prompts next must.

    Raises:
        ConfigError: the form has no one place for an answer, or nothing before it; nothing asks for such answers; the
            function can't be imported, fails, or gives something else than a text or None.
    """
    keys = zppo.answer
    if keys.form.count(PLACE) != 1:
        raise ConfigError(
            f"zppo.answer.form: expected a text with one {PLACE}, such as '#### {PLACE}', got {keys.form!r}"
        )
    if not keys.form.partition(PLACE)[0].rstrip(" {") or len(keys.form.splitlines()) > 1:
        raise ConfigError(
            f"zppo.answer.form: {keys.form!r} needs something before {PLACE} that announces it, in one line"
        )
    if keys.form != BOX and keys.closer is None:
        raise ConfigError(
            f"zppo.answer.closer: the paper's asks for a box, and zppo.answer.form is {keys.form!r}; set it to the "
            "text that should end each prompt, or to '' if the data say it"
        )
    if keys.path is not None:
        _check_function(keys.path, keys.name)
    use_reward(zppo)


def _check_function(path: str, name: str) -> None:
    file = path.removeprefix("file://").removeprefix("pkg://")
    if not path.startswith("pkg://") and not Path(file).is_file():
        raise ConfigError(f"zppo.answer.path: {file} does not exist")
    try:
        answers = answer_format({"closer": None, "form": BOX, "path": path, "name": name})
    except AttributeError as error:
        if name not in str(error):
            raise ConfigError(f"zppo.answer.path: {file} can't be imported: {told(error, file)}") from error
        raise ConfigError(f"zppo.answer.name: {file} has no function {name}") from None
    except BaseException as error:
        raise ConfigError(f"zppo.answer.path: {file} can't be imported: {told(error, file)}") from error
    if not callable(answers.function):
        raise ConfigError(f"zppo.answer.name: {name} of {file} is not a function")
    try:
        answers.extract(NONSENSE)
    except RewardFunctionError as error:
        raise ConfigError(str(error)) from error
