#!/usr/bin/env bash
# The same bounds keep other tokens in verl's rollout_rs than in its rollout_is: one of them inverts the ratio.
#
# Versions: verl 0.9.1, torch 2.13.0 (CPU).
# Behaviour: verl corrects for a server whose probabilities are not the trainer's. Both rollout_is_threshold (weights
#   outside the bounds become 0) and rollout_rs_threshold with a k1 option (what is outside is rejected) take ratio
#   bounds as "lower_upper", and r is the trainer's probability over the server's in both. One would expect "0.5_4" to
#   keep r from 0.5 to 4 in both. The k1 options compare -log r with the bounds' logarithms: they keep r from 0.25 to 2,
#   and their metric fraction_high counts the low ratios. It shows only with bounds that are not each other's inverse,
#   such as those that give the side of high ratios more room.
# Seen (r = 0.2, 0.3, 1, 3, 5, bounds "0.5_4"):
#   rollout_is=token keeps r = [1.0, 3.0]
#   rollout_rs=token_k1 keeps r = [0.3, 1.0]
#   rollout_rs=seq_mean_k1 keeps r = [0.3, 1.0]
#   share that is called too high: rollout_is 0.2 (r = 5), rollout_rs 0.2 (r = 0.2)
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 transformers==5.10.4 \
  torchdata==0.11.0 tensordict==0.10.0 datasets==5.2.0 peft==0.21.2 accelerate==1.15.0 ray==2.60.0 \
  TransferQueue==0.1.11 cachetools==8.0.1 uvicorn==0.54.0 fastapi==0.165.0
cat > "$work/run.py" <<'PY'
import torch
from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_and_rejection_mask

RATIOS, BOUNDS = [0.2, 0.3, 1.0, 3.0, 5.0], "0.5_4"
trainer = torch.tensor(RATIOS).log()[:, None] - 3  # a sequence of one token for each ratio
arguments = dict(old_log_prob=trainer, rollout_log_prob=torch.full_like(trainer, -3), response_mask=torch.ones(5, 1))


def kept(by):
    return [ratio for ratio, each in zip(RATIOS, by[:, 0].tolist(), strict=True) if each > 0]


weights, _, weighted = compute_rollout_correction_and_rejection_mask(
    rollout_is="token", rollout_is_threshold=BOUNDS, **arguments
)
by_weight = kept(weights.batch["rollout_is_weights"])
print("SEEN rollout_is=token keeps r =", by_weight)
assert by_weight == [1.0, 3.0]
for option in ("token_k1", "seq_mean_k1"):
    _, mask, rejected = compute_rollout_correction_and_rejection_mask(
        rollout_is=None, rollout_rs=option, rollout_rs_threshold=BOUNDS, **arguments
    )
    print(f"SEEN rollout_rs={option} keeps r =", kept(mask))
    assert kept(mask) == [0.3, 1.0], kept(mask)
by_is = weighted["rollout_corr/rollout_is_ratio_fraction_high"]
by_rs = rejected["rollout_corr/rollout_rs_seq_mean_k1_fraction_high"]
print(f"SEEN share that is called too high: rollout_is {by_is:.1f} (r = 5), rollout_rs {by_rs:.1f} (r = 0.2)")
assert abs(by_is - 0.2) < 1e-6 and abs(by_rs - 0.2) < 1e-6
PY
cd "$work" && export RAY_USAGE_STATS_ENABLED=0
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
