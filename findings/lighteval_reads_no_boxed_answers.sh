#!/usr/bin/env bash
# lighteval's MATH and AIMO give 0 to right answers in a box; AIMO gives 1 to every answer without one.
#
# Versions: lighteval 0.13.0, latex2sympy2_extended 1.0.6, sympy 1.14.0, numpy 2.4.6 (CPU). What else is imported with
#   the tasks, and not used by these scores, has a stand-in, torch and inspect-ai among them.
# Behaviour: both tasks name math_normalizer for response and key. It takes the last box of a text and writes what is in
#   it the same way, so that one would expect \boxed{\frac12} to be \frac{1}{2} wherever it stands.
#   - MATH's seven tasks take the majority of four responses, maj@n. It has one setting `normalize` for both. The names
#     that the tasks set, normalize_pred and normalize_gold, are kept and never read. So a whole response is compared
#     with MATH's whole solution: only who writes the solution word for word is right.
#   - aimo_progress_prize_1 uses exact_match, which knows the two names. But its keys are bare numbers. A text without a
#     box is normalized to nothing: each response without a box equals each key, and with a box none does.
#   `lighteval eval` runs AIMO by inspect-ai, with another scorer. MATH has no other.
# Seen (MATH: four times this response; the solution ends in "\boxed{\frac{1}{2}}.". AIMO: the key is 52):
#   MATH, 'So it is \\boxed{\\frac{1}{2}}.' -> 0
#   MATH, '\\boxed{\\frac{1}{2}}' -> 0
#   MATH, 'One of two parts is \\boxed{\\frac{1}{2}}.' -> 1
#   AIMO, 'So it is \\boxed{52}.' -> 0
#   AIMO, '52' -> 1
#   AIMO, 'So it is 51.' -> 1
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" aenum==3.1.15 antlr4-python3-runtime==4.13.2 colorlog==6.10.1 latex2sympy2_extended==1.0.6 numpy==2.4.6 \
  packaging==26.4 sympy==1.14.0
"${pip[@]}" --no-deps lighteval==0.13.0
cat > "$work/run.py" <<'PY'
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from unittest.mock import MagicMock

UNUSED = "datasets huggingface_hub inspect_ai multiprocess nltk pandas pydantic pytablewriter".split()
UNUSED += "requests sacrebleu scipy sklearn torch tqdm transformers".split()


class StandIn(MetaPathFinder, Loader):
    """Finds a module without content for what is imported and not used."""

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in UNUSED else None

    def create_module(self, spec):
        return MagicMock(name=spec.name, __path__=[], __spec__=spec)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, StandIn())
from lighteval.models.model_output import ModelResponse
from lighteval.tasks.tasks.aimo import task as aimo
from lighteval.tasks.tasks.math import math_algebra

ROWS = {
    "MATH": (math_algebra, {"problem": "How much?", "solution": r"One of two parts is \boxed{\frac{1}{2}}."}, 4),
    "AIMO": (aimo, {"problem": "How many?", "answer": 52}, 1),
}
for name, response, score in (
    ("MATH", r"So it is \boxed{\frac{1}{2}}.", 0),
    ("MATH", r"\boxed{\frac{1}{2}}", 0),
    ("MATH", r"One of two parts is \boxed{\frac{1}{2}}.", 1),
    ("AIMO", r"So it is \boxed{52}.", 0),
    ("AIMO", "52", 1),
    ("AIMO", "So it is 51.", 1),
):
    task, row, samples = ROWS[name]
    (metric,) = task.metrics
    doc = task.prompt_function(row, task.name)
    found = metric.sample_level_fn.compute(doc, ModelResponse(text=samples * [response]))
    print(f"{name}, {response!r} -> {found}")
    assert found == score
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
