"""The lines of a run's log that tell why it ended."""

import re
from pathlib import Path

_TAIL_BYTES = 1 << 19
_MAX_TRACEBACK_LINES = 24
_MAX_MESSAGES = 8
_MAX_LINE = 500
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_RAY_PREFIX = re.compile(r"^\(\w[^()]*pid=\d+[^()]*\) ?")
_TRACEBACK = re.compile(r"^Traceback \(most recent call last\):")


def telling_lines(path: Path) -> list[str]:
    """The last traceback, then the lines of this project (``zppo: ...``), or the last lines if there is neither.

    Only the last half megabyte is looked at. Ray's prefixes of worker output, colours and other control characters are
    taken off. No such file: a line that says so.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError as error:
        return [f"the log {path} cannot be read: {error.strerror}"]
    # A progress bar rewrites its line; what stands last in it counts.
    lines = [_CONTROL.sub("", line.rstrip("\r").rsplit("\r", 1)[-1]).rstrip() for line in text.split("\n")]
    lines = [_RAY_PREFIX.sub("", line)[:_MAX_LINE] for line in lines]
    messages = [line for line in lines if line.startswith("zppo:")]
    found = _last_traceback(lines) + list(dict.fromkeys(messages))[-_MAX_MESSAGES:]
    return found or [line for line in lines if line][-_MAX_MESSAGES:] or [f"the log {path} is empty"]


def _last_traceback(lines: list[str]) -> list[str]:
    """From its first line to the exception's; of a long one the end, where the cause is."""
    starts = [i for i, line in enumerate(lines) if _TRACEBACK.match(line)]
    if not starts:
        return []
    end = starts[-1] + 1
    while end < len(lines) and (not lines[end] or lines[end].startswith(" ")):
        end += 1
    block = [line for line in lines[starts[-1] : end + 1] if line]
    if len(block) > _MAX_TRACEBACK_LINES:
        block = [block[0], "  ...", *block[-_MAX_TRACEBACK_LINES + 2 :]]
    return block
