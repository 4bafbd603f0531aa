"""A grader in a process of its own, which ends where a pair of answers takes it too long.

Answers are a model's text, and `mathruler` ends in `sympy.simplify` of what `eval` makes of them. Some never end there.
Python can't be stopped from within, and verl calls reward functions from threads, so there is one helper process for
each grader and each process that grades. It starts with the first pair (a second), and dies with its parent.
"""

import itertools
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

CPU_S = 1.0  # of the helper for one pair: time of the processor, so that a busy machine gives the same verdict
WAIT_S, START_S = 60.0, 300.0  # by the clock
MEMORY = 4 * 2**30  # bytes of addresses
COMMAND = (sys.executable, "-P", os.path.abspath(__file__))  # and the grader's name


class HelperKilledError(Exception):
    """The helper ended without a verdict, and not for the time that the pair took: asked again, it may give one."""

    def __init__(self) -> None:
        super().__init__("the process that compares answers was killed, or hung, twice")


class BoundedGrader:
    """Asks a helper process that runs `serve`, and starts another when that has ended. May be used from threads."""

    def __init__(self, command: Sequence[str], wait_s: float = WAIT_S):
        self.command, self.wait_s = command, wait_s
        self.forget()
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """A forked process has a helper of its own."""
        self._lock, self._numbers = threading.Lock(), itertools.count()
        self._helper: subprocess.Popen[bytes] | None = None

    def __call__(self, answer: str, gold: str) -> Any:
        """Whether the two are equal, or how near; None if there is no verdict, whatever the cause. Errors: `ask`'s."""
        try:
            return self.ask(answer, gold)
        except HelperKilledError:
            return None

    def ask(self, answer: str, gold: str) -> Any:
        """Whether the two are equal, or how near; None if that took too much time of the processor.

        Raises:
            HelperKilledError: twice it was killed from outside, fell over the pair, or said nothing for `wait_s`.
            OSError: the helper can't be started.
        """
        with self._lock:
            try:
                return self._asked(answer, gold)
            except HelperKilledError:
                return self._asked(answer, gold)

    def _asked(self, answer: str, gold: str) -> Any:
        helper = self._helper
        if helper is None or helper.poll() is not None:
            pipe = subprocess.PIPE
            # Without buffers: a forked process would write what it found in one, select would not see one.
            helper = subprocess.Popen(self.command, bufsize=0, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
            self._helper = helper
            if _hear(helper, START_S) != b"ready\n":
                raise OSError(f"the process that compares answers did not start: {' '.join(self.command)}")
        number = next(self._numbers)
        with suppress(BrokenPipeError):  # it has just died, and says nothing more
            _tell(helper, json.dumps([number, answer, gold]).encode() + b"\n")
        # An answer to another pair is of a call that was interrupted, and never read it.
        while line := _hear(helper, self.wait_s):
            said, _, verdict = line.partition(b" ")
            if said == b"%d" % number:
                return json.loads(verdict)
        if helper.returncode == -signal.SIGPROF:
            return None
        raise HelperKilledError


def _tell(helper: subprocess.Popen[bytes], line: bytes) -> None:
    assert helper.stdin
    while line:
        line = line[helper.stdin.write(line) :]


def _hear(helper: subprocess.Popen[bytes], seconds: float) -> bytes:
    assert helper.stdout
    ready, _, _ = select.select([helper.stdout], [], [], seconds)
    line = helper.stdout.readline() if ready else b""
    if not line:
        helper.kill()
        helper.communicate()
    return line


def serve(grade: Callable[[str, str], Any], cpu_s: float = CPU_S, file_size: int = 0) -> None:
    """Answer on standard output for each pair on standard input, until that ends. What takes too long kills it.

    Args:
        grade: gives a float, or whatever is true or false.
        file_size: that it may write, in bytes.
    """
    answers, sys.stdout = sys.stdout, sys.stderr
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        number, *pair = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, cpu_s)  # its signal, unhandled, ends the process
        try:
            found = grade(*pair)
            verdict = json.dumps(found if isinstance(found, float) else bool(found))
        except Exception:  # a text on which mathruler or sympy stumbles is not the gold answer
            verdict = "false"
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(number, verdict, file=answers, flush=True)


_graders = {name: BoundedGrader([*COMMAND, name]) for name in ("mathruler", "careful")}


def grade_answer(answer: str, gold: str, grader: str = "mathruler") -> bool | None:
    """The verdict of `mathruler` or `recipe.zppo.careful`, from this process's helper. See `BoundedGrader.ask`."""
    return _graders[grader].ask(answer, gold)


def _load(name: str) -> Callable[[str, str], bool]:
    if name == "mathruler":
        from mathruler.grader import grade_answer as grade
    else:
        sys.path.append(os.path.abspath(f"{__file__}/../../.."))  # where `recipe` lies
        from recipe.zppo.careful.compare import is_equal as grade
    grade("x+1", "1+x")  # the first use imports
    return grade


if __name__ == "__main__":
    serve(_load(sys.argv[1]))
