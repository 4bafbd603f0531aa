#!/usr/bin/env bash
# SkyRL's Clip-Cov clips no token, and the penalty of its KL-Cov drowns the policy's gradient.
#
# Versions: skyrl 0.3.0, torch 2.13.0, numpy 2.4.6 (CPU). What else is imported and not used has a stand-in.
# Behaviour: SkyRL makes the mean over an update's tokens by dividing the advantages by their number before the loss,
#   which then is a sum. For losses in which each term has the advantage as a factor that is the same. Two have not.
#   - policy_loss_type=clip_cov takes tokens out of the update whose covariance of advantage and log-prob is from 1 to
#     5 (the defaults, for advantages of usual size). One would expect 0.02% of the tokens, clip_cov.clip_ratio. With
#     advantages that are divided by thousands no covariance reaches 1: the loss is PPO's, without a word.
#   - policy_loss_type=kl_cov adds ppo_kl_coef=1.0 times |log ratio| at the tokens of highest covariance. That is not
#     divided by the number of tokens, so that the penalty is that many times too strong, and more with every token in
#     the mini-batch.
#   It is the same with all kinds of loss_reduction, as they all scale the advantages.
# Seen (64 responses of 64 to 512 tokens, GRPO's advantages, log-probs after a small step):
#   clip_cov, tokens taken out: 3 with the advantages as they are, 0 with what is handed over
#   kl_cov, penalty's gradient in the policy's: 0.5 with the advantages as they are, 9499 with what is handed over
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile)
"${pip[@]}" torch==2.13.0 numpy==2.4.6
"${pip[@]}" --no-deps skyrl==0.3.0
cat > "$work/run.py" <<'PY'
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import SimpleNamespace
from unittest.mock import MagicMock

import torch

UNUSED = "cloudpickle flash_attn jaxtyping loguru omegaconf ray skyrl_gym torchdata tqdm transformers yaml".split()
UNUSED += "skyrl.backends.backend skyrl.env_vars skyrl.train.dataset skyrl.train.evaluate".split()
UNUSED += "skyrl.train.generators skyrl.train.utils".split()
UNUSED += [f"skyrl.backends.skyrl_train.{each}" for each in "distributed inference_servers utils.io workers".split()]


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
from skyrl.backends.skyrl_train.training_batch import TrainingInputBatch
from skyrl.backends.skyrl_train.utils.ppo_utils import compute_policy_loss_clip_cov, compute_policy_loss_kl_cov
from skyrl.train.config import AlgorithmConfig
from skyrl.train.trainer import RayPPOTrainer

RESPONSES, GROUP, WIDTH = 64, 8, 512
torch.manual_seed(0)
lengths = torch.randint(64, WIDTH + 1, (RESPONSES, 1))
mask = (torch.arange(WIDTH) < lengths).float()
rewards = torch.randint(2, (RESPONSES // GROUP, GROUP)).float()
advantages = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-6)
advantages = advantages.reshape(-1, 1) * mask
old = -6 * torch.rand(RESPONSES, WIDTH) ** 4  # most tokens are sure, a few are not
new = old + 0.05 * torch.randn(RESPONSES, WIDTH)


def handed_over():
    """The advantages as the trainer passes them to the loss."""
    algorithm = AlgorithmConfig()
    settings = SimpleNamespace(trainer=SimpleNamespace(algorithm=algorithm, micro_train_batch_size_per_gpu=RESPONSES))
    batch = TrainingInputBatch({"advantages": advantages.clone(), "response_mask": mask, "loss_mask": mask})
    RayPPOTrainer._normalize_advantages(SimpleNamespace(cfg=settings), batch, [(0, RESPONSES)])
    return batch["advantages"]


def clipped(advantages):
    config = AlgorithmConfig(policy_loss_type="clip_cov")
    _, metrics = compute_policy_loss_clip_cov(new, old, advantages, config, mask)
    return round(metrics["clip_ratio"] * mask.sum().item())


def gradient(advantages, coefficient):
    config = AlgorithmConfig(policy_loss_type="kl_cov")
    config.kl_cov.ppo_kl_coef = coefficient
    log_probs = new.clone().requires_grad_()
    compute_policy_loss_kl_cov(log_probs, old, advantages, config, mask)[0].backward()
    return log_probs.grad


def strength(advantages):
    """Of the penalty's gradient, in the policy's."""
    policy = gradient(advantages, 0.0)
    return ((gradient(advantages, 1.0) - policy).norm() / policy.norm()).item()


scaled = handed_over()
found = clipped(advantages), clipped(scaled), strength(advantages), strength(scaled)
print(f"SEEN clip_cov, tokens taken out: {found[0]} with the advantages as they are, ", end="")
print(f"{found[1]} with what is handed over")
print(f"SEEN kl_cov, penalty's gradient in the policy's: {found[2]:.1f} with the advantages as they are, ", end="")
print(f"{found[3]:.0f} with what is handed over")
assert torch.allclose(scaled * mask.sum(), advantages, atol=1e-3)
assert found[0] == int(0.0002 * mask.sum()) and found[1] == 0 and found[2] < 1 and found[3] > 5000, found
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
