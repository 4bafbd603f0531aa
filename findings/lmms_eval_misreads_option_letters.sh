#!/usr/bin/env bash
# lmms-eval scores right letters 0: in MMMU-Pro's vision part all but a bare letter, in Video-MME one with words behind.
#
# Versions: lmms-eval 0.7.3 (CPU).
# Behaviour:
#   - MMMU-Pro reads the letter out of a response only where the row has a column `question`. The rows of the data set's
#     config `vision` have none, as their question is in the picture: there the whole response is compared with the
#     letter. mmmu_pro_vision_cot asks for "Answer: $LETTER" in the last line after thinking, and scores exactly that 0.
#     The same response is right on a row of the standard part.
#   - Video-MME looks for a letter in several forms, and takes the last one of the best form. Behind "the answer is"
#     every capital A, B, C or D counts, also in a later word. A box is none of the forms: an option that was named in
#     parentheses before wins. Tasks in fifteen other folders use the same function.
# Seen:
#   mmmu_pro_vision, 'A' -> 1
#   mmmu_pro_vision, '\\boxed{A}' -> 0
#   mmmu_pro_vision_cot, 'The map is of 117.\nAnswer: A' -> 0
#   mmmu_pro_standard_cot, 'The map is of 117.\nAnswer: A' -> 1
#   videomme, '\\boxed{B}' -> B, 1
#   videomme, '(A) and (C) look alike, but it is \\boxed{B}' -> C, 0
#   videomme, 'The answer is B.' -> B, 1
#   videomme, 'The answer is B, not C.' -> C, 0
#   videomme, 'The answer is B, as the Dog barks.' -> D, 0
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" datasets==5.2.0 loguru==0.7.3 numpy==2.4.6 opencv-python-headless==5.0.0.93 PyYAML==6.0.4
"${pip[@]}" --no-deps lmms-eval==0.7.3  # its requirements, torch among them, are not needed for a score
cat > "$work/run.py" <<'PY'
import contextlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

(folder,) = importlib.util.find_spec("lmms_eval").submodule_search_locations
tasks = ModuleType("lmms_eval.tasks")  # the package itself, without its __init__, which imports torch
tasks.__path__ = [str(Path(folder) / "tasks")]
sys.modules["lmms_eval.tasks"] = tasks
from lmms_eval.tasks.mmmu_pro.utils import mmmu_pro_aggregate_results, mmmu_pro_process_results
from lmms_eval.tasks.videomme.utils import videomme_process_results

for task in ("mmmu_pro_vision", "mmmu_pro_vision_cot", "mmmu_pro_standard_cot"):
    config = Path(folder, "tasks", "mmmu_pro", f"{task}.yaml").read_text()
    assert "process_results: !function utils.mmmu_pro_process_results" in config and "filter_list" not in config

options = "['Rome', 'Carthage', 'Egypt', 'Gaul']"
vision = {"id": "test_History_1", "subject": "History", "image": None, "options": options, "answer": "A"}
standard = vision | {"question": "Whose empire is it? <image 1>"}
thought = "The map is of 117.\nAnswer: A"
for name, row, response, right in (
    ("mmmu_pro_vision", vision, "A", 1),
    ("mmmu_pro_vision", vision, "\\boxed{A}", 0),
    ("mmmu_pro_vision_cot", vision, thought, 0),
    ("mmmu_pro_standard_cot", standard, thought, 1),
):
    with contextlib.redirect_stdout(open(os.devnull, "w")):  # it prints every subject
        score = mmmu_pro_aggregate_results([mmmu_pro_process_results(row, [response])["mmmu_acc"]])
    print(f"{name}, {response!r} -> {score:.0f}")
    assert score == right

kind = {"domain": "Knowledge", "sub_category": "Astronomy", "task_type": "Counting Problem"}
row = kind | {"question_id": "001-1", "videoID": "v", "duration": "short", "answer": "B"}
for response, letter in (
    ("\\boxed{B}", "B"),
    ("(A) and (C) look alike, but it is \\boxed{B}", "C"),
    ("The answer is B.", "B"),
    ("The answer is B, not C.", "C"),
    ("The answer is B, as the Dog barks.", "D"),
):
    found = videomme_process_results(row, [response])["videomme_perception_score"]
    print(f"videomme, {response!r} -> {found['pred_answer']}, {found['score']:.0f}")
    assert (found["pred_answer"], found["score"]) == (letter, float(letter == "B"))
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
