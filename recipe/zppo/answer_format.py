r"""How a final answer stands in a response: what asks for it, how it is read, how a prompt shows one.

The paper's answers stand in ``\boxed{}`` (Fig. 8). Other data have other habits, `#### 42` for one. A run has one
format (the keys `zppo.answer`), and whoever asks for an answer, reads it or shows it goes by it: rollouts, the list of
wrong answers in NCQ, summaries, hints, audits, the judge. A process goes by the paper's until `use` says otherwise.
"""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

from recipe.zppo.errors import RewardFunctionError, one_line

BOX = "\\boxed{{answer}}"
PLACE = "{answer}"

MAX_ANSWER = 512  # characters; the data set's own limit for a gold answer (App. B.1)


@dataclass(frozen=True)
class AnswerFormat:
    """``form`` is an answer as it stands in a response, with `PLACE` for the answer itself.

    ``closer`` ends every prompt; None is that of Fig. 8, and "" none at all. ``function`` reads the answer off a
    response in place of ``form``.
    """

    closer: str | None = None
    form: str = BOX
    function: Callable[[str], str | None] | None = None

    @property
    def boxed(self) -> bool:
        """Answers are read off boxes, as the paper's graders do."""
        return self.form == BOX and self.function is None

    @property
    def marker(self) -> str:
        r"""What announces an answer: ``\boxed``, ``####``."""
        return self.form.partition(PLACE)[0].rstrip(" {")

    def shown(self, answer: str) -> str:
        """The answer as it stands in a response."""
        return self.form.replace(PLACE, answer)

    def extract(self, text: str) -> str | None:
        """The last answer of a response; None if there is none, or if it is empty, unclosed or too long.

        With a ``form`` that ends with the answer, it goes to the end of its line.

        Raises:
            RewardFunctionError: the function fails, or gives something else than a text or None.
        """
        answer = self._between(text) if self.function is None else self._called(self.function, text)
        answer = (answer or "").strip()
        return answer if 0 < len(answer) <= MAX_ANSWER else None

    def _between(self, text: str) -> str | None:
        before, after = (part.strip() for part in self.form.split(PLACE))
        end = text.rfind(after) if before == after else len(text)  # as in **42**: the last one closes
        start = text.rfind(before, 0, max(end, 0))
        if start < 0:
            return None
        rest = text[start + len(before) :][: 2 * MAX_ANSWER].lstrip(" \t")
        if not after:
            return rest.splitlines()[0] if rest else None
        end = _closing(rest) if before.endswith("{") and after.startswith("}") else rest.find(after)
        return rest[:end] if end >= 0 and rest.startswith(after, end) else None

    @staticmethod
    def _called(function: Callable[[str], Any], text: str) -> str | None:
        name = getattr(function, "__name__", "the function")
        try:
            answer = function(text)
        except Exception as error:
            raise RewardFunctionError(f"zppo.answer.name: {name} failed on a response: {one_line(error)}") from error
        if answer is not None and not isinstance(answer, str):
            raise RewardFunctionError(
                f"zppo.answer.name: {name} gave {answer!r:.100}; an answer is a text, or None where there is none"
            )
        return answer


def _closing(text: str) -> int:
    """Where the brace closes that was opened before ``text``; -1 for nowhere."""
    depth = 1
    for brace in re.finditer(r"[{}]", text):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return brace.start()
    return -1


PAPER = AnswerFormat()
_chosen = PAPER


def use(answers: AnswerFormat) -> None:
    """Let this process go by them from now on."""
    global _chosen
    _chosen = answers


def chosen() -> AnswerFormat:
    """This process's."""
    return _chosen


def answer_format(keys: Any) -> AnswerFormat:
    """Of the keys `zppo.answer`, an object with them as attributes, or a mapping.

    Raises:
        Exception: the function's file can't be imported, or has no such name. `recipe.zppo.preflight` looks before.
    """
    get = keys.get if isinstance(keys, Mapping) else lambda name: getattr(keys, name)
    return _answer_format(get("closer"), get("form"), get("path"), get("name"))


@lru_cache(maxsize=8)
def _answer_format(closer: str | None, form: str, path: str | None, name: str) -> AnswerFormat:
    return AnswerFormat(closer, form, getattr(imported(path), name) if path else None)


def imported(path: str) -> ModuleType:
    """A module from a file (also ``file://``) or a package (``pkg://``), as verl names reward functions."""
    if path.startswith("pkg://"):
        return importlib.import_module(path.removeprefix("pkg://").replace("/", "."))
    spec = importlib.util.spec_from_file_location("function_of_the_run", path.removeprefix("file://"))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
