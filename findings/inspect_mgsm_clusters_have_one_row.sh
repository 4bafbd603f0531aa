#!/usr/bin/env bash
# The standard error of inspect-evals' MGSM is clustered by question, but each question in each language is a cluster.
#
# Versions: inspect-evals 0.26.0 (the task is the same in 0.28.0), inspect-ai 0.3.285 (CPU; the rows are ours, so that
#   the download has a stand-in).
# Behaviour: MGSM has the same 250 questions in eleven languages: who can do one in German can mostly do it in French.
#   Its 2,750 rows are far from independent, and the task asks for stderr(cluster="question_id"). One would expect a
#   cluster to be a question with its translations, as it is an article, passage or document in RACE, DROP and DocVQA.
#   question_id is the row's id, which is made from language and text. So there are as many clusters as rows, and the
#   result is the standard error of independent rows. The right one is up to sqrt(11) = 3.3 times as large, and
#   differences count as significant that are not.
# Seen (40 questions in eleven languages; a model does each in those languages that it knows well enough for it):
#   rows 440, clusters 440
#   accuracy 0.709, stderr of the task 0.0217, without clusters 0.0217, clustered by question 0.0585
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile inspect-evals==0.26.0 \
  inspect-ai==0.3.285 s3fs==2026.6.0 aiobotocore==3.10.0 boto3==1.43.117 datasets==5.2.0
cat > "$work/run.py" <<'PY'
import re
from importlib import import_module
from pathlib import Path

from inspect_ai import eval as evaluate
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import SampleScore, stderr, value_to_float

mgsm = import_module("inspect_evals.mgsm.mgsm")  # the package gives the name to the task
QUESTIONS = 40
WELL = {language: 0.5 + 0.04 * place for place, language in enumerate(mgsm.ALL_LANGUAGES)}


def rows(url, sha256, path):
    """Of one language, as in the files of the data set: question, tab, answer."""
    language = re.search(r"mgsm_(\w+)\.tsv", url)[1]
    lines = (f"({language}) What is {n} + 1?\t{n + 1}\n" for n in range(QUESTIONS))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))
    return path


def model(messages, *_):
    language, number = re.search(r"\((\w+)\) What is (\d+) \+ 1", messages[-1].text).groups()
    right = WELL[language] > (int(number) * 7 % QUESTIONS) / QUESTIONS
    output = ModelOutput.from_content("mockllm/model", f"Answer: {int(number) + 1 if right else 0}")
    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else it asks for a tokenizer
    return output


mgsm.download = rows
student = get_model("mockllm/model", custom_outputs=model)
(log,) = evaluate(mgsm.mgsm(use_cot=False), student, display="none", log_dir="logs")
assert log.status == "success", log.error.message
metrics = {name: metric.value for name, metric in log.results.scores[0].metrics.items()}
as_number = value_to_float()
samples = [
    (as_number(score.value), sample.metadata["question_id"], re.search(r"is (\d+)", sample.input)[1])
    for sample in log.samples
    for score in sample.scores.values()
]


def error(cluster=None):
    scores = [
        SampleScore(score={"value": value}, sample_metadata={"row": row, "question": question})
        for value, row, question in samples
    ]
    return stderr(cluster=cluster)(scores)


clusters = len({row for _, row, _ in samples})
print(f"SEEN rows {len(samples)}, clusters {clusters}")
print(
    f"SEEN accuracy {metrics['accuracy']:.3f}, stderr of the task {metrics['stderr']:.4f}, "
    f"without clusters {error():.4f}, clustered by question {error('question'):.4f}"
)
assert len(samples) == clusters == 11 * QUESTIONS == len({question for *_, question in samples}) * 11
assert abs(metrics["stderr"] - error()) < 1e-4 and error("question") > 2 * metrics["stderr"]
PY
cd "$work" && export HOME="$work" XDG_CACHE_HOME="$work/cache" HF_HOME="$work/hub" HF_HUB_OFFLINE=1
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
