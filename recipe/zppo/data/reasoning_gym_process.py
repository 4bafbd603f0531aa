"""What runs reasoning-gym, in a process of its own: ``generate`` makes questions, ``verify`` grades answers.

Some generators iterate over sets of strings, whose order differs from process to process. So `generate` is started
with a fixed PYTHONHASHSEED (see `reasoning_gym_tasks.Generator`). An answer is a model's text, and verifiers parse it
with SymPy, `eval` or searches of their own. So `verify` has bounded time and memory, as in
`recipe.zppo.bounded_grader`, and of what a verifier evaluates only literals and mathematical expressions pass.
"""

import json
import os
import resource
import signal
import string
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

GENERATE, VERIFY = "generate", "verify"
ITEM_CPU_S = 60  # of the processor for one question
MEMORY = 8 * 2**30  # bytes of addresses
SIZE = 1000
"""Question i is drawn from `seed + i`, and most generators have one for every i, whatever their size."""


def command(what: str) -> tuple[str, ...]:
    return (sys.executable, "-P", os.path.abspath(__file__), what)


def main(what: str) -> None:
    sys.path.insert(0, str(Path(__file__).parents[3]))
    if what == GENERATE:
        generate()
        return
    import reasoning_gym  # noqa: F401
    import sympy

    from recipe.zppo.bounded_grader import serve

    sympy.simplify(sympy.parse_expr("x**2 + x"))  # sympy's first use imports
    sys.addaudithook(code_guard(mathematical_names()))
    serve(verdict)


# ---- questions


def generate() -> None:
    """For each line ``[task, settings, seed, index]`` a line with the question, or with ``error``."""
    answers, sys.stdout = sys.stdout, sys.stderr
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    import reasoning_gym  # noqa: F401

    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, ITEM_CPU_S)  # its signal, unhandled, ends the process
        try:
            task, settings, seed, index = json.loads(line)
            reply = json.dumps(_item(task, json.dumps(settings), seed, index), default=str)
        except Exception as error:
            reply = json.dumps({"error": " ".join(f"{error}".split()) or type(error).__name__})
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(reply, file=answers, flush=True)


def _item(task: str, settings: str, seed: int, index: int) -> dict[str, Any]:
    from reasoning_gym.dataset import ProceduralDataset

    data = _dataset(task, settings, seed)
    one_answer = type(data).score_answer is ProceduralDataset.score_answer
    return {**data[index], "category": data.category, "one_answer": one_answer}


@lru_cache(maxsize=256)
def _dataset(task: str, settings: str, seed: int) -> Any:
    import reasoning_gym

    return reasoning_gym.create_dataset(task, seed=seed, size=SIZE, **json.loads(settings))


# ---- verdicts


def verdict(answer: str, row: str) -> bool:
    """Whether the task's verifier, made with the settings of the row, gives the answer full marks.

    Args:
        row: JSON of `task`, `settings` and `entry`, as in a row's `extra_info.metadata`.
    """
    what = json.loads(row)
    return _dataset(what["task"], json.dumps(what["settings"]), 0).score_answer(answer, what["entry"]) == 1.0


def mathematical_names() -> frozenset[str]:
    """What an expression may be made of: SymPy's constants, functions and other classes of expressions; letters."""
    import sympy

    basic = {
        name
        for name, value in vars(sympy).items()
        if isinstance(value, sympy.Basic) or (isinstance(value, type) and issubclass(value, sympy.Basic))
    }
    # Its parser begins with `from sympy import *`.
    return frozenset(basic | {"sqrt", "root", "cbrt", "sympy"} | set(string.ascii_letters))


def code_guard(names: frozenset[str]) -> Any:
    """An audit hook: what a verifier, or SymPy for it, evaluates from a text may use no other names or attributes."""

    def hook(event: str, arguments: tuple) -> None:
        if event != "exec":
            return
        caller = sys._getframe(1).f_globals.get("__name__", "")
        by_sympy = caller == "sympy.parsing.sympy_parser"
        if by_sympy or caller.startswith("reasoning_gym."):
            used = set(_names(arguments[0]))
            if not used <= (names if by_sympy else set()):
                raise PermissionError("an answer is no program")

    return hook


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


if __name__ == "__main__":
    main(sys.argv[1])
