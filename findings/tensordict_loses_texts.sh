#!/usr/bin/env bash
# tensordict 0.10.0 loses texts beside the tensors: cat gives all rows the first batch's, contiguous() empties them.
#
# Versions: tensordict 0.10.0, the newest that verl 0.9.1 allows, torch 2.13.0 (CPU). 0.15.3 keeps them all.
# Behaviour: a batch may hold texts beside tensors: one for all its rows, or one a row. One would expect what moves rows
#   to move both alike, or else to refuse. What stands below the first two lines below returns without a word, and the
#   tensors in it are right.
#   - cat and where take one text for all rows from their first batch, whatever the second one's is. stack keeps both.
#   - contiguous, gather and pad hand on the right number of rows, each an empty dictionary where the text was. Row
#     numbers in brackets do keep them.
# Seen (two batches of two rows; `task` is one text for all rows, `answer` one a row):
#   stack: [['gsm8k', 'gsm8k'], ['geo3k', 'geo3k']] [['18', '3'], ['90', '45']]
#   rows [1, 0]: ['gsm8k', 'gsm8k'] ['3', '18']
#   cat: ['gsm8k', 'gsm8k', 'gsm8k', 'gsm8k'] ['18', '3', '90', '45']
#   where [True, False]: ['gsm8k', 'gsm8k'] ['18', '45']
#   contiguous: ['gsm8k', 'gsm8k'] [{}, {}]
#   gather [1, 0]: ['gsm8k', 'gsm8k'] [{}, {}]
#   pad by 1: [{}, {}, {}] [{}, {}, {}]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check tensordict==0.10.0 torch==2.13.0 numpy==2.2.6
cat > "$work/run.py" <<'PY'
import torch
from tensordict import NonTensorStack, TensorDict, pad


def batch(task, numbers, answers):
    found = TensorDict({"number": torch.tensor(numbers)}, batch_size=[2])
    found["task"], found["answer"] = task, NonTensorStack(*answers)
    return found


first, second = batch("gsm8k", [0, 1], ["18", "3"]), batch("geo3k", [2, 3], ["90", "45"])
gsm8k, geo3k, swapped = ["gsm8k", "gsm8k"], ["geo3k", "geo3k"], torch.tensor([1, 0])
for name, found, numbers, tasks, answers in (
    ("stack", torch.stack([first, second]), [[0, 1], [2, 3]], [gsm8k, geo3k], [["18", "3"], ["90", "45"]]),
    ("rows [1, 0]", first[swapped], [1, 0], gsm8k, ["3", "18"]),
    ("cat", torch.cat([first, second]), [0, 1, 2, 3], gsm8k + gsm8k, ["18", "3", "90", "45"]),
    ("where [True, False]", torch.where(swapped == 1, first, second), [0, 3], gsm8k, ["18", "45"]),
    ("contiguous", first.contiguous(), [0, 1], gsm8k, [{}, {}]),
    ("gather [1, 0]", first.gather(0, swapped), [1, 0], gsm8k, [{}, {}]),
    ("pad by 1", pad(first, [0, 1]), [0, 1, 0], [{}, {}, {}], [{}, {}, {}]),
):
    texts = found.get("task").tolist(), found.get("answer").tolist()
    print(f"{name}: {texts[0]} {texts[1]}")
    assert found["number"].tolist() == numbers and texts == (tasks, answers)
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
