#!/usr/bin/env bash
# lmms-eval asks and judges CharXiv's reasoning questions by who wrote them, not by the kind of their answer.
#
# Versions: lmms-eval 0.7.3, openai 3.57.0 (CPU; the judge is not called).
# Behaviour: CharXiv's instruction and rubric depend on the kind of the answer, `reasoning_a_type`: 1 text in the chart,
#   2 text in general, 3 number in the chart, 4 number in general. lmms-eval takes `reasoning_q_source`, 1 to 3, which
#   says whether GPT, people or both wrote the question. Its own comments speak of 4 as numbers in general; no row gets
#   there. So a name is asked for as a number, and judged by whether "the two numbers are exactly equal"; a number is
#   asked for as text, and never with the decimal places that count. By the authors' file of the validation split (their
#   repository's data/reasoning_val.json, inst_category and qa_source) 617 of 1,000 rows get another rubric; 320 of them
#   have words for an answer and are judged as numbers.
# Seen:
#   a name, by people (type 1, source 3): asked for a number: True, judged as numbers: True
#   3.14, by GPT (type 4, source 1): asked for 2 decimal places: False, judged as a term: True
#   prompts that change with the type: 0 of 12
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" datasets==5.2.0 openai==3.57.0 tqdm==4.70.1
"${pip[@]}" --no-deps lmms-eval==0.7.3  # its requirements, torch among them, are not needed for a prompt
cat > "$work/run.py" <<'PY'
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

(folder,) = importlib.util.find_spec("lmms_eval").submodule_search_locations
tasks = ModuleType("lmms_eval.tasks")  # the package itself, without its __init__, which imports torch
tasks.__path__ = [str(Path(folder) / "tasks")]
sys.modules["lmms_eval.tasks"] = tasks
from lmms_eval.tasks.charxiv.reasoning_utils import build_reasoning_grading_queries
from lmms_eval.tasks.charxiv.utils import charxiv_reasoning_doc_to_text_cot, charxiv_reasoning_process_results


def prompts(kind, source, answer):
    """What the student is asked about a row, and the judge: charxiv_reasoning_aggregate_results up to its call."""
    types = {"reasoning_a_type": kind, "reasoning_q_source": source}
    row = {"figure_path": "images/0.jpg", "reasoning_q": "Which is it?", "reasoning_a": answer} | types
    result = charxiv_reasoning_process_results(row, ["It is so."])["reasoning_acc"]
    (query,) = build_reasoning_grading_queries({0: result["data"]}, {result["resp_key"]: result["resp_value"]}).values()
    return charxiv_reasoning_doc_to_text_cot(row), query["grading_query"]


NUMBERS, TERM = "the two numbers are exactly equal", "are referring to the same term"
asked, judged = prompts(1, 3, "ResNet-50")
number = "grounded to a number" in asked, NUMBERS in judged
print(f"a name, by people (type 1, source 3): asked for a number: {number[0]}, judged as numbers: {number[1]}")
assert number == (True, True) and TERM not in judged

asked, judged = prompts(4, 1, "3.14")
term = "2 decimal places" in asked, TERM in judged
print(f"3.14, by GPT (type 4, source 1): asked for 2 decimal places: {term[0]}, judged as a term: {term[1]}")
assert term == (False, True) and NUMBERS not in judged

pairs = [(kind, source) for kind in (1, 2, 3, 4) for source in (1, 2, 3)]
changed = sum(prompts(kind, source, "7") != prompts(source, source, "7") for kind, source in pairs)
print(f"prompts that change with the type: {changed} of {len(pairs)}")
assert changed == 0
assert len({prompts(1, source, "7") for source in (1, 2, 3)}) == 3
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
