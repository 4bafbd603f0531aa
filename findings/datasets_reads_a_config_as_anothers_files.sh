#!/usr/bin/env bash
# Of a folder whose dataset card has configs of several file types, datasets opens all of them as the first one's type.
#
# Versions: datasets 5.2.0, pyarrow 26.0.1.
# Behaviour: a README.md may name the files of several configs. One would expect each to be read by what its files are,
#   as it is where the card has that config alone. The type is decided once, by the first config in the card, also for
#   load_dataset(folder, "another"). Behind Parquet, JSON lines are called a corrupted file. Worse, where the first type
#   can read the second, wrong rows come without a word: JSON lines as text, or as a CSV, whose first row becomes the
#   names of the columns.
# Seen (the second config has two rows, y and z):
#   jsonl alone -> [{'text': 'y'}, {'text': 'z'}]
#   jsonl behind jsonl -> [{'text': 'y'}, {'text': 'z'}]
#   jsonl behind parquet -> ArrowInvalid: Parquet magic bytes not found in footer. Either the file is corrupted or this
#     is not a parquet file.
#   jsonl behind txt -> [{'text': '{"text": "y"}'}, {'text': '{"text": "z"}'}]
#   jsonl behind csv -> [{'{"text": "y"}': '{"text": "z"}'}]
#   csv behind txt -> [{'text': 'text'}, {'text': 'y'}, {'text': 'z'}]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1
cat > "$work/run.py" <<'PY'
import json
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet

datasets.disable_progress_bars()
datasets.logging.set_verbosity(datasets.logging.CRITICAL)
RIGHT = [{"text": "y"}, {"text": "z"}]


def write(folder, config, kind, texts):
    file = folder / f"{config}.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.table({"text": texts}), file)
    else:
        lines = [json.dumps({"text": text}) for text in texts] if kind == "jsonl" else list(texts)
        file.write_text("\n".join(["text", *lines] if kind == "csv" else lines) + "\n")
    return f"- config_name: {config}\n  data_files: {file.name}\n"


def second(kinds):
    """The rows of the last config in a folder's card. The configs have files of these kinds, in this order."""
    folder = Path("-".join(kinds))
    folder.mkdir()
    texts = [["w", "x"], ["y", "z"]][-len(kinds) :]
    configs = [write(folder, f"config{number}", kind, texts[number]) for number, kind in enumerate(kinds)]
    (folder / "README.md").write_text(f"---\nconfigs:\n{''.join(configs)}---\n")
    last = f"config{len(kinds) - 1}"
    return list(datasets.load_dataset(str(folder), last, split="train", cache_dir=str(folder / "cache")))


lines = ['{"text": "y"}', '{"text": "z"}']
for kinds, expected in (
    (["jsonl"], RIGHT),
    (["jsonl", "jsonl"], RIGHT),
    (["parquet", "jsonl"], None),
    (["txt", "jsonl"], [{"text": line} for line in lines]),
    (["csv", "jsonl"], [{lines[0]: lines[1]}]),
    (["txt", "csv"], [{"text": "text"}, *RIGHT]),
):
    name = f"{kinds[-1]} behind {kinds[0]}" if kinds[1:] else f"{kinds[0]} alone"
    try:
        rows = said = second(kinds)
    except Exception as error:
        rows, said = None, f"{type(error).__name__}: {error}"
        assert expected is None and "Parquet magic bytes not found" in said, said
    print(f"{name} -> {said}")
    assert rows == expected
PY
cd "$work" && HF_HOME="$work/hub" "$work/venv/bin/python" -W ignore run.py
