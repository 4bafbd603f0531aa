"""Asks a reward function about two answers to one row, in a process of its own: ``python -m`` this, a request on stdin.

The request is JSON: `path`, `name`, `kwargs` (of the configuration), `form` (of an answer) and `row`. The reply is
JSON on the last line of stdout: `problem`, or the two `scores`. The function is loaded as verl loads it.
"""

import asyncio
import inspect
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

from recipe.zppo.answer_format import AnswerFormat, imported

NONSENSE = "I do not know. Perhaps a banana?"


def main() -> None:
    request = json.load(sys.stdin)
    print("\n" + json.dumps(reply(request), default=_plain))


def reply(request: dict[str, Any]) -> dict[str, Any]:
    file = request["path"].removeprefix("pkg://")
    try:
        module = imported(request["path"])
    except BaseException as error:
        return {"problem": f"{file} can't be imported: {told(error, file)}"}
    function = getattr(module, request["name"], None)
    if not callable(function):
        functions = [name for name, value in vars(module).items() if inspect.isfunction(value) and name[0] != "_"]
        return {"name": f"{file} has no function {request['name']}; it has {', '.join(functions[:8]) or 'none'}"}
    row, scores = request["row"], []
    gold = row["reward_model"]["ground_truth"]
    for text in (f"<think>\n</think>\n{AnswerFormat(form=request['form']).shown(str(gold))}", NONSENSE):
        try:
            scores.append(_score(function, row, gold, text, request["kwargs"]))
        except BaseException as error:
            return {"problem": f"{request['name']} fails on row 0 for the answer {text!r}: {told(error, file)}"}
    return {"scores": scores}


def _score(function: Callable, row: dict[str, Any], gold: Any, text: str, kwargs: dict[str, Any]) -> Any:
    score = function(
        data_source=row.get("data_source") or "unknown",
        solution_str=text,
        ground_truth=gold,
        extra_info=row.get("extra_info") or {},
        **kwargs,
    )
    return asyncio.run(score) if inspect.iscoroutine(score) else score


def _plain(value: Any) -> Any:
    """numpy's and torch's numbers as numbers, which verl takes as well; anything else as it is shown."""
    try:
        return value.item()
    except (AttributeError, ValueError, RuntimeError):
        return repr(value)


def told(error: BaseException, file: str) -> str:
    """Kind and first line, and the line of the user's own file, if it is in the trace."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(file)]
    where = f", line {lines[-1]}" if lines else f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
    message = (str(error) or "no message").splitlines()[0]
    return f"{type(error).__name__}: {message}{where}"


if __name__ == "__main__":
    main()
