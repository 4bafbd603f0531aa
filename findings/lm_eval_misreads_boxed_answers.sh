#!/usr/bin/env bash
# lm-eval scores right answers 0 on GSM8K, MATH-500 and MMLU-Redux, where a student of RL boxes its answer or says why.
#
# Versions: lm-eval 0.4.13, datasets 5.2.0 (CPU).
# Behaviour: whole evaluations of one row each, with the package's own tasks. The rows and the responses are ours, and
#   no solved examples stand before the question.
#   - gsm8k, flexible-extract takes the last of what looks like a number, and two of the signs $ . , look like one. Of
#     "$\boxed{18}$." it takes the end of the formula and of the sentence. Without the full stop the answer is right.
#   - hendrycks_math500 compares what stands between dollar signs, with the box. MATH's own solutions are boxed, and
#     only their box is taken off: one would expect the same of a response. The aime24 of the same package does so.
#   - mmlu_redux takes the first capital A, B, C or D, also in a word: "Answer: C" is A, "Because ..." is B.
# Seen:
#   gsm8k: 'The answer is $\\boxed{18}$' -> 18, score 1
#   gsm8k: 'The answer is $\\boxed{18}$.' -> $., score 0
#   hendrycks_math500: 'The answer is $18$.' -> score 1
#   hendrycks_math500: 'The answer is $\\boxed{18}$.' -> score 0
#   hendrycks_math500: '\\boxed{18}' -> score 0
#   aime24: 'The answer is $\\boxed{18}$.' -> score 1
#   mmlu_redux: '\\boxed{C}' -> C, score 1
#   mmlu_redux: 'Because plants need light, \\boxed{C}' -> B, score 0
#   mmlu_redux: 'Answer: C' -> A, score 0
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check lm-eval==0.4.13 datasets==5.2.0
cat > "$work/run.py" <<'PY'
import json
from pathlib import Path

import lm_eval
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

TASKS, WORK = Path(lm_eval.__file__).parent / "tasks", Path.cwd()
MANAGER = TaskManager()


class Says(LM):
    """A model that always gives one response."""

    def __init__(self, response):
        super().__init__()
        self.response = response

    def generate_until(self, requests, **_):
        return [self.response for _ in requests]

    def loglikelihood(self, requests):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


def evaluated(task, row, response, name="none"):
    """What the filter takes and the score, of the package's task on one row of ours."""
    file = WORK / "row.jsonl"
    file.write_text(json.dumps(row))
    ours = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"train": str(file), "test": str(file)}}}
    config = load_yaml(TASKS / task) | ours | {"task": "tried", "dataset_name": None, "num_fewshot": 0}
    found = lm_eval.simple_evaluate(model=Says(response), tasks=[config], task_manager=MANAGER, bootstrap_iters=0)
    (sample,) = [each for each in found["samples"]["tried"] if each["filter"] == name]
    return sample["filtered_resps"][0], found["results"]["tried"][f"exact_match,{name}"]


gsm8k = "gsm8k/gsm8k.yaml", {"question": "How many?", "answer": "9 * 2 = 18\n#### 18"}
math500 = "hendrycks_math/hendrycks_math500.yaml", {"problem": "How many?", "solution": "$9 \\cdot 2 = \\boxed{18}$."}
aime = "aime/aime24.yaml", {"Problem": "How many?", "Answer": "18"}
redux = "mmlu-redux/generative/mmlu_anatomy.yaml", {"question": "Which?", "choices": ["w", "x", "y", "z"], "answer": 2}
for name, (task, row), filtered, response, taken, score in (
    ("gsm8k", gsm8k, "flexible-extract", "The answer is $\\boxed{18}$", "18", 1),
    ("gsm8k", gsm8k, "flexible-extract", "The answer is $\\boxed{18}$.", "$.", 0),
    ("hendrycks_math500", math500, "none", "The answer is $18$.", None, 1),
    ("hendrycks_math500", math500, "none", "The answer is $\\boxed{18}$.", None, 0),
    ("hendrycks_math500", math500, "none", "\\boxed{18}", None, 0),
    ("aime24", aime, "none", "The answer is $\\boxed{18}$.", None, 1),
    ("mmlu_redux", redux, "default", "\\boxed{C}", "C", 1),
    ("mmlu_redux", redux, "default", "Because plants need light, \\boxed{C}", "B", 0),
    ("mmlu_redux", redux, "default", "Answer: C", "A", 0),
):
    text, found = evaluated(task, row, response, filtered)
    print(f"{name}: {response!r} -> {'' if taken is None else text + ', '}score {found:.0f}")
    assert found == score and taken in (None, text), (text, found)
PY
cd "$work" && export HF_HOME="$work/hub" HF_HUB_OFFLINE=1
"$work/venv/bin/python" -W ignore run.py 2>errors || { tail -n 20 errors; exit 1; }
