#!/usr/bin/env bash
# inspect's match(numeric=True) compares five digits: an answer that is wrong in the sixth is right.
#
# Versions: inspect-ai 0.3.285; the tasks gsm8k and mgsm of inspect-evals 0.28.0 score so.
# Behaviour: the scorer's documentation says that numbers are "normalized and compared", and lists what is stripped from
#   them. One would expect whole numbers that differ to differ. But both are rounded to five significant digits before.
#   So among numbers from 100,000 on the neighbours are right, of one with seven digits a hundred. Who multiplies badly
#   often has the first digits and misses the last ones. Without numeric=True the texts are compared.
# Seen (key, response -> score):
#   99999, 'ANSWER: 99,998' -> I
#   114200, 'ANSWER: 114,201' -> C
#   114200, 'ANSWER: 114,204' -> C
#   114200, 'ANSWER: 114,206' -> I
#   7006652, 'ANSWER: 7,006,699' -> C
#   3.14159, 'ANSWER: 3.1416' -> C
#   products of two four-digit numbers, plus 1: 995 of 1000 are right, without numeric=True 0
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" inspect-ai==0.3.285 s3fs==2026.6.0 aiobotocore==3.10.0 boto3==1.43.117
"${pip[@]}" --no-deps inspect-evals==0.28.0  # only looked at
cat > "$work/run.py" <<'PY'
import asyncio
import importlib.util
import random
from pathlib import Path

from inspect_ai.model import ModelName, ModelOutput
from inspect_ai.scorer import Target, match
from inspect_ai.solver import TaskState

(folder,) = importlib.util.find_spec("inspect_evals").submodule_search_locations
for task in ("gsm8k", "mgsm"):
    assert "scorer=match(numeric=True)" in Path(folder, task, f"{task}.py").read_text()


def score(key, response, numeric=True):
    output = ModelOutput.from_content("mockllm/model", response)
    state = TaskState(ModelName("mockllm/model"), 1, 1, "How many?", [], output=output)
    return asyncio.run(match(numeric=numeric)(state, Target(key))).value


for key, answer, expected in (
    ("99999", "99,998", "I"),
    ("114200", "114,201", "C"),
    ("114200", "114,204", "C"),
    ("114200", "114,206", "I"),
    ("7006652", "7,006,699", "C"),
    ("3.14159", "3.1416", "C"),
):
    found = score(key, f"ANSWER: {answer}")
    print(f"{key}, 'ANSWER: {answer}' -> {found}")
    assert found == expected

draw = random.Random(0)
products = [draw.randint(1000, 9999) * draw.randint(1000, 9999) for _ in range(1000)]
right, as_text = (
    sum(score(str(n), f"ANSWER: {n + 1}", numeric) == "C" for n in products) for numeric in (True, False)
)
print(f"products of two four-digit numbers, plus 1: {right} of 1000 are right, without numeric=True {as_text}")
assert (right, as_text) == (995, 0)
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
