#!/usr/bin/env bash
# AReaL's mask for truncated responses takes the reward from the longest one of a batch, finished or not, and no other.
#
# Versions: areal 1.0.4, torch 2.13.0, numpy 2.4.6 (CPU). What else is imported and not used has a stand-in.
# Behaviour: actor.mask_no_eos_with_zero is to "mask truncated generations (no EOS token) and exclude from training".
#   One would expect it to look at a response's end or at max_new_tokens. A response counts as truncated where its
#   sequence, prompt and response, fills the batch, and a batch is as wide as its longest sequence. So each batch
#   has one at least. If all finished, the longest loses its reward; if some were cut at max_new_tokens, those with
#   shorter prompts keep theirs. Nothing is excluded either: the reward is 0 in place of what it was, with
#   actor.reward_norm 0 in place of a normalized one, and the response is trained on. The same test is logged as
#   no_eos_ratios.
# Seen (rewards 1, no baseline, max_new_tokens 8; the advantages that the responses are trained with):
#   all finished, prompts of 3 tokens, responses of 5, 4 and 2: [0.0, 1.0, 1.0]
#   prompt of 3 and 8 tokens cut off, prompt of 10 and 4 tokens finished: [1.0, 0.0]
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
from types import SimpleNamespace
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
from areal.trainer.ppo.actor import PPOActor
from areal.utils.data import batched_call

SETTINGS = dict(
    mask_no_eos_with_zero=True, use_decoupled_loss=False, recompute_logprob=False, overlong_reward_penalty=False,
    reward_bias=0.0, reward_scaling=1.0, reward_clip=20.0, reward_norm=None, adv_norm=None, kl_ctl=0.0,
    kl_estimator="k1", discount=1.0, gae_lambda=1.0, temperature=1.0, m2_threshold=None, max_new_tokens=8,
    importance_sampling_level="token", eps_clip=0.2,
)  # fmt: skip
actor = PPOActor(SimpleNamespace(**SETTINGS), engine=None)


def advantages(*lengths):
    """The first one of each response, for lengths of prompts and responses."""
    batch = [
        {
            "input_ids": torch.ones(1, prompt + response, dtype=torch.long),
            "attention_mask": torch.ones(1, prompt + response, dtype=torch.bool),
            "loss_mask": torch.tensor([[0] * prompt + [1] * response]),
            "logprobs": torch.zeros(1, prompt + response),
            "rewards": torch.ones(1),
        }
        for prompt, response in lengths
    ]
    done = batched_call(actor._compute_advantages, batch)
    return [each["advantages"][0, prompt - 1].item() for each, (prompt, _) in zip(done, lengths, strict=True)]


finished, cut = advantages((3, 5), (3, 4), (3, 2)), advantages((3, 8), (10, 4))
print("SEEN all finished, prompts of 3 tokens, responses of 5, 4 and 2:", finished)
print("SEEN prompt of 3 and 8 tokens cut off, prompt of 10 and 4 tokens finished:", cut)
assert finished == [0.0, 1.0, 1.0] and cut == [1.0, 0.0]
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
