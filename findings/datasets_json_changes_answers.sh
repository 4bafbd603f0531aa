#!/usr/bin/env bash
# What datasets makes of a number or text in a JSONL depends on the other rows: of a large whole number a float, without a
# word, or an error.
#
# Versions: datasets 5.2.0, pyarrow 26.0.1.
# Behaviour: a whole number beyond 64 bits makes a float64 of its column: the digits beyond the 16th are lost, and its
#   small neighbours become 3.0. One would expect the error that the same number brings beside a single text. A column
#   of texts such as 2024-01-31 becomes timestamps; one other text among them, and all stay texts.
# Seen:
#   [2**70, 3] -> [1.1805916207174113e+21, 3.0]
#   [2**70, 'x'] -> ValueError: Value is too big! at position 10
#   ['2024-01-31', '2024-02-01'] -> [datetime.datetime(2024, 1, 31, 0, 0), datetime.datetime(2024, 2, 1, 0, 0)]
#   ['2024-01-31', 'May'] -> ['2024-01-31', 'May']
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1
cat > "$work/run.py" <<'PY'
import datetime
import json
import sys
from pathlib import Path

import datasets

datasets.disable_progress_bars()
BIG = 2**70


def read(name, values):
    path = Path(sys.argv[1]) / f"{name}.jsonl"
    path.write_text("\n".join(json.dumps({"answer": value}) for value in values))
    rows = datasets.load_dataset("json", data_files=str(path), cache_dir=sys.argv[1])["train"]
    return [row["answer"] for row in rows]


large = read("large", [BIG, 3])
print(f"[2**70, 3] -> {large}")
assert large == [float(BIG), 3.0] and all(isinstance(value, float) for value in large)
try:
    read("mixed", [BIG, "x"])
    raise SystemExit("a large number and a text were read")
except Exception as error:
    causes = [error, error.__cause__, error.__context__]
    found = next((str(cause) for cause in causes if "too big" in str(cause)), "")
    print(f"[2**70, 'x'] -> {type(error).__name__}: {found}")
    assert found, causes

days, words = ["2024-01-31", "2024-02-01"], ["2024-01-31", "May"]
print(f"{days} -> {read('days', days)}")
print(f"{words} -> {read('words', words)}")
assert read("days", days) == [datetime.datetime(2024, 1, 31), datetime.datetime(2024, 2, 1)]
assert read("words", words) == words
PY
"$work/venv/bin/python" "$work/run.py" "$work"
