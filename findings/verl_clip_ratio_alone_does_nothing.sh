#!/usr/bin/env bash
# verl clips by 0.2 whatever actor.clip_ratio is set to.
#
# Versions: verl 0.9.1, torch 2.13.0, tensordict 0.10.0 (CPU).
# Behaviour: actor.clip_ratio is the "PPO clip ratio" of the configuration; clip_ratio_low and clip_ratio_high are for
#   bounds that differ. A loss takes clip_ratio where one of those is null. But both have a value in the configuration,
#   0.2, and in the config class of Python, so that clip_ratio alone reaches no clipping. One would expect 0.05 to clip
#   at 0.95 and 1.05. It clips at 0.8 and 1.2, and nothing is said. With both bounds null it counts.
# Seen (ratios of 0.5 and 2 against an advantage that pulls outward; the ratios that the loss took):
#   vanilla: clip_ratio=0.05 clips at [0.8, 1.2], clip_ratio=0.5 at [0.8, 1.2], 0.05 with both bounds null at [0.95, 1.05]
#   gspo: clip_ratio=0.05 clips at [0.8, 1.2], clip_ratio=0.5 at [0.8, 1.2], 0.05 with both bounds null at [0.95, 1.05]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 transformers==5.10.4 \
  torchdata==0.11.0 tensordict==0.10.0 datasets==5.2.0 peft==0.21.2 accelerate==1.15.0 ray==2.60.0 \
  TransferQueue==0.1.11 cachetools==8.0.1 uvicorn==0.54.0 fastapi==0.165.0
cat > "$work/run.py" <<'PY'
import torch
from hydra import compose, initialize_config_module
from verl.trainer.ppo.core_algos import get_policy_loss_fn
from verl.utils.config import omega_conf_to_dataclass

ACTOR = "actor_rollout_ref.actor"


def clips_at(mode, *settings):
    """The loss's value for ratios of 0.5 and 2, which is the ratio that it took."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        changes = ["ppo_micro_batch_size_per_gpu=1", f"policy_loss.loss_mode={mode}", *settings]
        config = compose("ppo_trainer", [f"{ACTOR}.{change}" for change in changes])
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    actor.global_batch_info.update(dp_size=1, batch_num_tokens=1, global_batch_size=1, loss_scale_factor=None)
    found = []
    for ratio, advantage in ((0.5, -1.0), (2.0, 1.0)):
        loss, _ = get_policy_loss_fn(mode)(
            old_log_prob=torch.zeros(1, 1),
            log_prob=torch.tensor([[ratio]]).log(),
            advantages=torch.tensor([[advantage]]),
            response_mask=torch.ones(1, 1),
            loss_agg_mode="seq-mean-token-mean",
            config=actor,
        )
        found.append(round(abs(loss.item()), 4))
    return found


BOUNDS = ("clip_ratio_low=null", "clip_ratio_high=null")
for mode in ("vanilla", "gspo"):
    narrow, wide = clips_at(mode, "clip_ratio=0.05"), clips_at(mode, "clip_ratio=0.5")
    null = clips_at(mode, "clip_ratio=0.05", *BOUNDS)
    print(
        f"SEEN {mode}: clip_ratio=0.05 clips at {narrow}, clip_ratio=0.5 at {wide}, "
        f"0.05 with both bounds null at {null}"
    )
    assert narrow == wide == [0.8, 1.2] and null == [0.95, 1.05]
PY
cd "$work" && export RAY_USAGE_STATS_ENABLED=0
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
