#!/usr/bin/env bash
# Three verifiers of reasoning-gym give full marks to answers that are wrong; one of them on every question.
#
# Versions: reasoning-gym 0.1.25 (one requirement, pycosat, is compiled: a C compiler must be there).
# Behaviour: complex_arithmetic scores min(1.0, exp(-distance)), and Python's min(1.0, nan) is 1.0: the answer `nan` is
#   right on every question. puzzle24 looks for four numbers within the range that make 24, not for the four that the
#   question gives: another question's answer is right. gsm_symbolic reads the number without its sign. One would
#   expect a verifier to know its own question.
# Seen:
#   complex_arithmetic: 'nan' right on 50 of 50
#   puzzle24: the next question's answer right on 50 of 50, of which 0 use the numbers that are given
#   gsm_symbolic: minus the answer right on 50 of 50
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check reasoning-gym==0.1.25
cat > "$work/run.py" <<'PY'
import re

from reasoning_gym import create_dataset

SIZE = 50


def right(name, answers):
    """How many of the questions are given full marks for the answer that `answers` makes of the data and a number."""
    data = create_dataset(name, seed=1, size=SIZE)
    return sum(data.score_answer(answers(data, i), data[i]) == 1.0 for i in range(SIZE))


nan = right("complex_arithmetic", lambda data, i: "nan")
print(f"complex_arithmetic: 'nan' right on {nan} of {SIZE}")
assert nan == SIZE

puzzles = create_dataset("puzzle24", seed=1, size=SIZE)


def numbers(i, j):
    """Whether question i may be answered with the numbers in question j's answer."""
    return sorted(map(int, re.findall(r"\d+", puzzles[j]["answer"]))) == sorted(puzzles[i]["metadata"]["numbers"])


others = right("puzzle24", lambda data, i: data[(i + 1) % SIZE]["answer"])
given = sum(numbers(i, (i + 1) % SIZE) for i in range(SIZE))
print(f"puzzle24: the next question's answer right on {others} of {SIZE}, of which {given} use the numbers that are given")
assert (others, given) == (SIZE, 0) and all(numbers(i, i) for i in range(SIZE))

minus = right("gsm_symbolic", lambda data, i: "-" + data[i]["answer"])
print(f"gsm_symbolic: minus the answer right on {minus} of {SIZE}")
assert minus == SIZE
PY
"$work/venv/bin/python" "$work/run.py"
