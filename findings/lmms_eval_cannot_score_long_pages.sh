#!/usr/bin/env bash
# lmms-eval can't score a page of more than 2,000 characters in OCRBench v2: a flawless reading raises an error.
#
# Versions: lmms-eval 0.7.3, nltk 3.10.4 and 3.9.2 (lmms-eval asks for no version). One requirement of its metrics,
#   Polygon3, is compiled: a C compiler must be there.
# Behaviour: for full pages OCRBench v2 takes the mean of BLEU, METEOR, F-measure and edit distance. lmms-eval hands
#   page and response to nltk.edit_distance, character by character. Since 3.10 nltk refuses there what is longer than
#   2,000 characters, and the function that scores a row passes the error on. One would expect a score, as with nltk
#   3.9.2. The longer of the two texts counts: a short page, written out with the spaces of its layout, is refused as
#   well. Below the limit both versions say the same.
# Seen:
#   nltk 3.9.2: page of 2000, response of 2000 -> 1.000
#   nltk 3.9.2: page of 2001, response of 2001 -> 1.000
#   nltk 3.9.2: page of 100, with its spaces 2001 -> 0.762
#   nltk 3.10.4: page of 2000, response of 2000 -> 1.000
#   nltk 3.10.4: page of 2001, response of 2001 -> ValueError: edit_distance: input length 2001 exceeds
#   nltk 3.10.4: page of 100, with its spaces 2001 -> ValueError: edit_distance: input length 2001 exceeds
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-warn-conflicts)
"${pip[@]}" --no-deps lmms-eval==0.7.3  # its requirements, torch among them, are not needed for a score
"${pip[@]}" apted==1.0.3 Distance==0.1.3 editdistance==0.8.1 jieba==0.42.1 Levenshtein==0.27.5 loguru==0.7.3 \
  lxml==6.1.3 numpy==2.4.6 Polygon3==3.0.9.1 setuptools==80.9.0 tqdm==4.70.1 zss==1.2.0
cat > "$work/run.py" <<'PY'
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import nltk

(folder,) = importlib.util.find_spec("lmms_eval").submodule_search_locations
tasks = ModuleType("lmms_eval.tasks")  # the package itself, without its __init__, which imports torch
tasks.__path__ = [str(Path(folder) / "tasks")]
sys.modules["lmms_eval.tasks"] = tasks
from lmms_eval.tasks.ocrbench_v2.utils import ocrbench_v2_process_results

TEXT = 50 * "the quick brown fox jumps over the lazy dog near the old mill "
SHORT = TEXT[:99].ljust(100, ".")
REFUSES = sys.argv[1] == "refuses"
for name, page, response, score in (
    ("page of 2000, response of 2000", TEXT[:2000], TEXT[:2000], 1.0),
    ("page of 2001, response of 2001", TEXT[:2001], TEXT[:2001], 1.0),
    ("page of 100, with its spaces 2001", SHORT, SHORT.replace(" ", 1902 * " ", 1), (3 + 100 / 2001) / 4),
):
    row = {"question": "What is written?", "answers": [page], "type": "full-page OCR en", "eval": "None"}
    try:
        found = ocrbench_v2_process_results(row, [response])["ocrbench_v2_accuracy"]["score"]
        said = f"{found:.3f}"
    except ValueError as error:
        found, said = None, f"ValueError: {str(error).partition(' MAX_')[0]}"
    print(f"nltk {nltk.__version__}: {name} -> {said}")
    if REFUSES and len(response) > 2000:
        assert found is None and "input length 2001 exceeds" in said, said
    else:
        assert abs(found - score) < 1e-3, said
PY
"${pip[@]}" nltk==3.9.2 && "$work/venv/bin/python" -W ignore "$work/run.py" scores
"${pip[@]}" nltk==3.10.4 && "$work/venv/bin/python" -W ignore "$work/run.py" refuses
