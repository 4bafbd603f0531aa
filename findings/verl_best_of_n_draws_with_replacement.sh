#!/usr/bin/env bash
# verl's best@n of n responses is not the best of them: with one right response of 8 it is 0.65, and pass@8 is 1.
#
# Versions: verl 0.9.1, torch 2.13.0 (CPU).
# Behaviour: where a question has several responses in validation, verl logs val-core/.../best@n, worst@n and maj@n, for
#   n up to their number. It draws n of them 1,000 times and takes the mean. One would expect draws without replacement,
#   the mean over subsets that pass@n is: with all n responses drawn, best@n is the best one. The draws are with
#   replacement, so that a subset of n lacks a third of the responses. best@n is below pass@n, most for the hard
#   questions that one looks at it for, worst@n is above the worst, and a majority of all responses is at times
#   outvoted. A pass@8 from elsewhere can't be compared with verl's best@8.
# Seen (one question, 8 responses):
#   1 right: best@8 0.65 (pass@8 1.00), best@4 0.41 (pass@4 0.50)
#   7 right: worst@8 0.34 (the worst 0.00)
#   5 of 8 agree on the right answer: maj@8 0.76 (the majority 1.00)
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 transformers==5.10.4 \
  torchdata==0.11.0 tensordict==0.10.0 datasets==5.2.0 peft==0.21.2 accelerate==1.15.0 ray==2.60.0 \
  TransferQueue==0.1.11 cachetools==8.0.1 uvicorn==0.54.0 fastapi==0.165.0
cat > "$work/run.py" <<'PY'
from math import comb

from verl.trainer.ppo.metric_utils import process_validation_metrics

N = 8


def metrics(right):
    """verl's metrics of one question with this many right responses of N. All wrong ones say the same."""
    info = {"acc": [1.0] * right + [0.0] * (N - right), "pred": ["7"] * right + ["9"] * (N - right)}
    return process_validation_metrics(["aime"] * N, ["question"] * N, info)["aime"]["acc"]


def passes(right, drawn):
    return 1 - comb(N - right, drawn) / comb(N, drawn)


one, seven, five = metrics(1), metrics(7), metrics(5)
best8, best4 = one["best@8/mean"], one["best@4/mean"]
worst, majority = seven["worst@8/mean"], five["maj@8/mean"]
print(
    f"SEEN 1 right: best@8 {best8:.2f} (pass@8 {passes(1, 8):.2f}), best@4 {best4:.2f} (pass@4 {passes(1, 4):.2f})"
)
print(f"SEEN 7 right: worst@8 {worst:.2f} (the worst 0.00)")
print(f"SEEN 5 of 8 agree on the right answer: maj@8 {majority:.2f} (the majority 1.00)")
assert abs(best8 - (1 - (7 / 8) ** 8)) < 0.05 and abs(best4 - (1 - (7 / 8) ** 4)) < 0.05
assert abs(worst - (7 / 8) ** 8) < 0.05 and majority < 0.9
PY
cd "$work" && export RAY_USAGE_STATS_ENABLED=0
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
