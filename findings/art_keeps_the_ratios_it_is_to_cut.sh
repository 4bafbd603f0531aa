#!/usr/bin/env bash
# ART's settings for importance ratios do other things than their names say: one raises the ratios that it is to cut.
#
# Versions: openpipe-art 0.5.18, torch 2.13.0, numpy 2.4.6, pydantic 2.14.3 (CPU; the loss is loaded without the
#   package's clients).
# Behaviour: a token's ratio is its probability under the policy over that under the server that sampled it. With
#   loss_fn="cispo", the default, the ratio is a constant weight of the log-prob's gradient, and three settings of
#   LocalBackend.train are to keep far ratios out.
#   - mask_prob_ratio sets ratios outside 1 - epsilon and 1 + epsilon_high to 0. One would expect no gradient there. The
#     zeros are clipped after that, to 1 - epsilon: such a token is trained on with a weight of 0.8. Only with the
#     default epsilon, which is 1 here, and with loss_fn="ppo" they are out.
#   - truncated_importance_sampling, the "truncation threshold for importance sampling weights", caps the ratio of the
#     trainer's old log-probs to the server's. These are only there with precalculate_logprobs, which is off by default.
#     Without them the policy's own ratio is capped and multiplied to itself: what is 3 becomes 6.
#   - max_negative_advantage_importance_sampling_weight, "for negative advantage samples", caps all samples alike.
# Seen (weight of tokens with ratios of 0.5, 1, 3 and 8; clipped at 5 by default):
#   epsilon 0.2 and 0.28: [0.8, 1.0, 1.28, 1.28], with mask_prob_ratio [0.8, 1.0, 0.8, 0.8], that with ppo
#     [0.0, 1.0, 0.0, 0.0]
#   defaults: [0.5, 1.0, 3.0, 5.0], with truncated_importance_sampling=2 [0.25, 1.0, 6.0, 10.0], and with
#     precalculate_logprobs [0.5, 1.0, 2.0, 2.0]
#   max_negative_advantage_importance_sampling_weight=1.5, advantage -1: [0.5, 1.0, 1.5, 1.5], advantage 1:
#     [0.5, 1.0, 1.5, 1.5]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile)
"${pip[@]}" torch==2.13.0 numpy==2.4.6 pydantic==2.14.3
"${pip[@]}" --no-deps openpipe-art==0.5.18
cat > "$work/run.py" <<'PY'
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import torch

for name in ("art", "art.utils", "art.dev"):  # without what they import of clients and servers
    package = sys.modules[name] = ModuleType(name)
    package.__path__ = [str(Path(sysconfig.get_paths()["purelib"], *name.split(".")))]
from art.dev.train import TrainConfig

sys.modules["art.dev"].TrainConfig = TrainConfig
from art.loss import loss_fn

RATIOS = torch.tensor([0.5, 1.0, 3.0, 8.0])
BEFORE = torch.tensor([[float("nan")]])  # a prompt of one token


def weights(advantage=1.0, old=None, **settings):
    """Of the tokens, as the objective's gradient by their log-probs; `old` are the trainer's own log-probs."""
    new = torch.full((1, 5), -1.0, requires_grad=True)
    sampled = -1 - RATIOS.log().unsqueeze(0)
    inputs = {
        "logprobs": torch.cat([BEFORE, sampled if old is None else old], 1),
        "advantages": torch.full((1, 5), advantage),
        "assistant_mask": torch.tensor([[False, True, True, True, True]]),
        "weights": torch.ones(1, 5),
    }
    if old is not None:
        inputs["original_logprobs"] = torch.cat([BEFORE, sampled], 1)
    loss_fn(inputs, new, None, None, TrainConfig(**settings), reduction="sum").policy_loss.backward()
    return [round(weight, 2) + 0.0 for weight in (-new.grad[0, :4] / advantage).tolist()]


RANGE = dict(epsilon=0.2, epsilon_high=0.28)
clipped, masked = weights(**RANGE), weights(mask_prob_ratio=True, **RANGE)
ppo = weights(mask_prob_ratio=True, ppo=True, **RANGE)
print(f"SEEN epsilon 0.2 and 0.28: {clipped}, with mask_prob_ratio {masked}, that with ppo {ppo}")
assert clipped == [0.8, 1, 1.28, 1.28] and masked == [0.8, 1, 0.8, 0.8] and ppo == [0, 1, 0, 0]
assert weights(mask_prob_ratio=True) == [0.5, 1, 3, 0]
plain, capped = weights(), weights(truncated_importance_sampling=2.0)
known = weights(truncated_importance_sampling=2.0, old=torch.full((1, 4), -1.0))
print(f"SEEN defaults: {plain}, with truncated_importance_sampling=2 {capped}, and with precalculate_logprobs {known}")
assert plain == [0.5, 1, 3, 5] and capped == [0.25, 1, 6, 10] and known == [0.5, 1, 2, 2]
CAP = dict(max_negative_advantage_importance_sampling_weight=1.5)
positive, negative = weights(1.0, **CAP), weights(-1.0, **CAP)
print(f"SEEN max_negative_advantage_importance_sampling_weight=1.5, advantage -1: {negative}, advantage 1: {positive}")
assert positive == negative == [0.5, 1, 1.5, 1.5]
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
