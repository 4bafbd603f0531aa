#!/usr/bin/env bash
# OpenCompass cuts right answers at their comma on GSM8K, at their point on MATH, and reads 2\cdot3 as 23.
#
# Versions: opencompass 0.5.4, mmengine-lite 0.11.0rc3, numpy 1.26.4 (CPU). What else is imported and not used has a
#   stand-in.
# Behaviour: post-processing and evaluators as the data sets' configurations name them.
#   - gsm8k (gsm8k_gen and most others): of the keys a comma between thousands is taken out, of the responses not. There
#     a number is digits, and the last one counts: of 1,234 it is 234. Who writes numbers as the data set does is wrong
#     from 1,000 on, and right where the key is the last three digits.
#   - math without a box, as the few-shot configurations for base models ask for it ("The final answer is $X$."): the
#     text is cut into sentences at every full stop first, that of a decimal fraction too. 0.25 is read as 0, and 3.9
#     for the key 3 is right. In a box it is read whole.
#   - math's evaluator, version v2, takes \cdot out, so that a product is the number of both its digits.
#   One would expect a number to be read to its end.
# Seen (key, response -> read, accuracy):
#   gsm8k: 1234, 'The answer is 1234.' -> 1234, 100
#   gsm8k: 1234, 'The answer is 1,234.' -> 234, 0
#   gsm8k: 234, 'The answer is 1,234.' -> 234, 100
#   math: 0.25, 'The final answer is $\\boxed{0.25}$.' -> 0.25, 100
#   math: 0.25, 'The final answer is $0.25$.' -> 0, 0
#   math: 3, 'The final answer is $3.9$.' -> 3, 100
#   math: 23, 'The final answer is $\\boxed{2\\cdot3}$.' -> 2\cdot3, 100
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile)
"${pip[@]}" mmengine-lite==0.11.0rc3 packaging==25.0 numpy==1.26.4
"${pip[@]}" --no-deps opencompass==0.5.4
cat > "$work/run.py" <<'PY'
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

UNUSED = ("datasets", "opencompass.datasets.base", "opencompass.openicl", "opencompass.utils")


class StandIn(MetaPathFinder, Loader):
    """Finds modules whose names are empty classes, for what is imported and not used."""

    def find_spec(self, name, path=None, target=None):
        unused = any(name == each or name.startswith(each + ".") for each in UNUSED)
        return ModuleSpec(name, self, is_package=True) if unused else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.__getattr__ = self.empty

    @staticmethod
    def empty(name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *args, **options: None})


sys.meta_path.insert(0, StandIn())
# The folder without its __init__.py, which imports hundreds of data sets.
folder = ModuleType("opencompass.datasets")
folder.__path__ = [f"{find_spec('opencompass').submodule_search_locations[0]}/datasets"]
sys.modules[folder.__name__] = folder
from opencompass.datasets.gsm8k import Gsm8kEvaluator, gsm8k_dataset_postprocess, gsm8k_postprocess
from opencompass.datasets.math import MATHEvaluator, extract_boxed_answer, math_postprocess_v2

TASKS = {
    "gsm8k": (Gsm8kEvaluator(), gsm8k_postprocess, lambda key: gsm8k_dataset_postprocess(f"So it is so.\n#### {key}")),
    "math": (MATHEvaluator(version="v2"), math_postprocess_v2, lambda key: extract_boxed_answer(f"\\boxed{{{key}}}.")),
}
for task, key, response, read, accuracy in (
    ("gsm8k", "1,234", "The answer is 1234.", "1234", 100),
    ("gsm8k", "1,234", "The answer is 1,234.", "234", 0),
    ("gsm8k", "234", "The answer is 1,234.", "234", 100),
    ("math", "0.25", r"The final answer is $\boxed{0.25}$.", "0.25", 100),
    ("math", "0.25", "The final answer is $0.25$.", "0", 0),
    ("math", "3", "The final answer is $3.9$.", "3", 100),
    ("math", "23", r"The final answer is $\boxed{2\cdot3}$.", r"2\cdot3", 100),
):
    evaluator, of_response, of_row = TASKS[task]
    key, found = of_row(key), of_response(response)
    score = evaluator.score([found], [key])["accuracy"]
    print(f"SEEN {task}: {key}, {response!r} -> {found}, {score:.0f}")
    assert (found, score) == (read, accuracy), (found, score)
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
