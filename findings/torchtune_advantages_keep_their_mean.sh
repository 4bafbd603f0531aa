#!/usr/bin/env bash
# torchtune's PPO whitens advantages and adds their mean again: with rewards around 5 the worst response is praised.
#
# Versions: torchtune 0.6.1, torch 2.13.0, numpy 2.4.6 (CPU). What else is imported and not used has a stand-in.
# Behaviour: estimate_advantages is to "normalize advantages across the batch of trajectories". One would expect a mean
#   of 0 and a deviation of 1, as in the trainer that torchtune names as its source. There, whitening with
#   shift_mean=True takes the mean out, and with False it puts it back. In torchtune it is the other way round, True is
#   the default, and estimate_advantages leaves it so. The deviation is 1, the mean is what it was before. So
#   while the critic has not learned the level of the rewards, all advantages have their sign. An update makes all
#   responses more likely, or all less, until the clipping stops it, and what is better among them is a small part.
#   The recipe's option whiten_rewards is no way out: it is read into an attribute, and nothing reads that.
# Seen (64 responses of 20 tokens, scores of mean 5 and deviation 1, values 0, gamma and lambda of the recipe):
#   advantages of all tokens: mean 3.27, deviation 1.00
#   tokens with a positive advantage: 100% in all responses, 100% in those of a score below the mean
#   mean after whiten(shift_mean=True): 3.27, after whiten(shift_mean=False): 0.00
#   lines of the recipe with whiten_rewards: 1
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile)
"${pip[@]}" torch==2.13.0 numpy==2.4.6
"${pip[@]}" --no-deps torchtune==0.6.1
cat > "$work/run.py" <<'PY'
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import distribution
from unittest.mock import MagicMock

import torch

UNUSED = "torchao torchtune.data torchtune.datasets torchtune.generation torchtune.models".split()
UNUSED += "torchtune.modules torchtune.utils".split()


class StandIn(MetaPathFinder, Loader):
    """Finds a module without content for what is imported and not used."""

    def find_spec(self, name, path=None, target=None):
        unused = any(name == each or name.startswith(each + ".") for each in UNUSED)
        return ModuleSpec(name, self, is_package=True) if unused else None

    def create_module(self, spec):
        return MagicMock(name=spec.name, __path__=[], __spec__=spec)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, StandIn())
from torchtune import rlhf

RESPONSES, LENGTH = 64, 20
torch.manual_seed(0)
scores = 5 + torch.randn(RESPONSES)
log_probs = -torch.rand(RESPONSES, LENGTH)
last = torch.full((RESPONSES,), LENGTH - 1)
mask = torch.ones(RESPONSES, LENGTH, dtype=torch.bool)
rewards, _, _ = rlhf.get_rewards_ppo(scores, log_probs, log_probs, kl_coeff=0.01, valid_score_idxs=last)
values = torch.zeros(RESPONSES, LENGTH)
advantages, returns = rlhf.estimate_advantages(values, rewards, gamma=1.0, lmbda=0.95, masks=mask)
mean, deviation = advantages.mean().item(), advantages.std().item()
positive = (advantages > 0).float()
everywhere, below = positive.mean().item(), positive[scores < scores.mean()].mean().item()
shifted, other = (rlhf.whiten(returns, mask=mask, shift_mean=each).mean().item() for each in (True, False))
(recipe,) = [each for each in distribution("torchtune").files if each.name == "ppo_full_finetune_single_device.py"]
lines = sum("whiten_rewards" in line for line in recipe.read_text().splitlines())
print(f"SEEN advantages of all tokens: mean {mean:.2f}, deviation {deviation:.2f}")
print(
    f"SEEN tokens with a positive advantage: {everywhere:.0%} in all responses, "
    f"{below:.0%} in those of a score below the mean"
)
print(f"SEEN mean after whiten(shift_mean=True): {shifted:.2f}, after whiten(shift_mean=False): {abs(other):.2f}")
print("SEEN lines of the recipe with whiten_rewards:", lines)
assert mean > 2 and abs(deviation - 1) < 0.01 and everywhere == below == 1.0, (mean, deviation, everywhere, below)
assert shifted > 2 and abs(other) < 1e-4 and lines == 1, (shifted, other, lines)
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
