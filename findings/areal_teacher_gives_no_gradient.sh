#!/usr/bin/env bash
# AReaL's reinforcement learning with a teacher has the same gradient whatever the teacher says: nothing is distilled.
#
# Versions: areal 1.0.4, torch 2.13.0, numpy 2.4.6 (CPU). What else is imported and not used by the loss has a stand-in.
# Behaviour: with a teacher, the actor's loss gets distill_loss_weight x (log-prob of the student - of the teacher), the
#   mean over the student's own tokens, as "joint loss" of knowledge distillation and RL. So it is with the default,
#   rl_loss_weight=1.0. That mean is an estimate of the reverse KL, and one would expect its gradient to pull to the
#   teacher. The teacher's part of it is a constant. What is left is the gradient of the student's log-probs on its own
#   samples: zero on average, noise else. The value that is logged as rkl_loss is right. With rl_loss_weight=0 another
#   loss is taken, in which the difference is a reward, and that one learns.
# Seen (a student of 5 tokens, uniform; the teacher has 0.9 on one of them; advantages 0; 300 updates, default weight):
#   difference of the gradients for two opposite teachers: 0.0
#   KL to the teacher: 1.36 before, 1.37 after with rl_loss_weight=1.0, 0.00 after with rl_loss_weight=0
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile)
"${pip[@]}" torch==2.13.0 numpy==2.4.6 colorlog==6.10.1
"${pip[@]}" --no-deps areal==1.0.4
cat > "$work/run.py" <<'PY'
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from unittest.mock import MagicMock

import torch

UNUSED = "areal.api areal.experimental areal.infra areal.trainer.dpo_trainer areal.trainer.ppo.critic".split()
UNUSED += "areal.trainer.rl_trainer areal.trainer.rw_trainer areal.trainer.sft_trainer".split()
UNUSED += "einops numba orjson torchdata".split()


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
from areal.trainer.ppo.actor import grpo_loss_fn

TOKENS, BATCH, WEIGHT = 5, 1024, 0.005
teacher = torch.full((TOKENS,), 0.1 / (TOKENS - 1))
teacher[0] = 0.9
teacher = teacher.log()


def gradient(student, tokens, teacher, rl_loss_weight):
    logits = student.clone().requires_grad_()
    log_probs = logits.log_softmax(-1)[tokens]
    old = log_probs.detach().clone()
    batch = {
        "logprobs": old, "prox_logp": old, "advantages": torch.zeros(BATCH), "loss_mask": torch.ones(BATCH),
        "teacher_logp": teacher[tokens], "rl_loss_weight": rl_loss_weight, "distill_loss_weight": WEIGHT,
    }  # fmt: skip
    grpo_loss_fn(log_probs, torch.zeros(BATCH), batch, eps_clip=0.2, eps_clip_higher=None, c_clip=None).backward()
    return logits.grad


def divergence(student):
    log_probs = student.log_softmax(-1)
    return (log_probs.exp() * (log_probs - teacher)).sum().item()


def trained(rl_loss_weight):
    torch.manual_seed(0)
    student = torch.zeros(TOKENS)
    for _ in range(300):
        tokens = torch.multinomial(student.softmax(-1), BATCH, replacement=True)
        student -= 0.1 / WEIGHT * gradient(student, tokens, teacher, rl_loss_weight)
    return divergence(student)


torch.manual_seed(0)
tokens = torch.randint(TOKENS, (BATCH,))
one, other = (gradient(torch.zeros(TOKENS), tokens, each, 1.0) for each in (teacher, teacher.flip(0)))
difference = (one - other).abs().max().item()
before, joint, alone = divergence(torch.zeros(TOKENS)), trained(1.0), trained(0)
print("SEEN difference of the gradients for two opposite teachers:", difference)
print(
    f"SEEN KL to the teacher: {before:.2f} before, {joint:.2f} after with rl_loss_weight=1.0, "
    f"{alone:.2f} after with rl_loss_weight=0"
)
assert difference == 0 and abs(joint - before) < 0.2 and alone < 0.05, (difference, before, joint, alone)
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
