#!/usr/bin/env bash
# OpenRLHF's dynamic batches hold more tokens than rollout.max_tokens_per_gpu, with several GPUs nearly twice as many.
#
# Versions: openrlhf 0.11.2, torch 2.13.0, numpy 2.4.6 (CPU). What else is imported and not used has a stand-in.
# Behaviour: with train.dynamic_batch_enable the passes over the rollouts, for the log-probs of actor and reference, the
#   values and rewards, take as many sequences at once as fit into rollout.max_tokens_per_gpu. First fit says how many
#   micro-batches it takes. As every GPU must have as many, one would expect that number to be rounded up to a multiple
#   of the GPUs. It is rounded down: of 14 micro-batches on 8 GPUs 8 are left, which hold the same tokens. So whoever
#   sets the limit to what the memory can hold runs out of it, at some steps and not at others, and far out of it where
#   each GPU has one or two micro-batches.
# Seen (64 sequences of 1,000 to 6,400 tokens, limit 16,192):
#   1 GPU(s): 14 micro-batches, the largest of 15481 tokens, 0.96 of the limit
#   4 GPU(s): 12 micro-batches, the largest of 18048 tokens, 1.11 of the limit
#   8 GPU(s): 8 micro-batches, the largest of 26961 tokens, 1.67 of the limit
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile)
"${pip[@]}" torch==2.13.0 numpy==2.4.6
"${pip[@]}" --no-deps openrlhf==0.11.2
cat > "$work/run.py" <<'PY'
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import SimpleNamespace
from unittest.mock import MagicMock

import torch

UNUSED = "deepspeed ray transformers openrlhf.models.actor openrlhf.models.model openrlhf.trainer.ray".split()
UNUSED += ["openrlhf.utils.math_utils"]


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
from openrlhf.trainer.ppo_utils.experience import Experience
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker

SEQUENCES, LIMIT = 64, 16192
lengths = torch.randint(1000, 6401, (SEQUENCES,), generator=torch.Generator().manual_seed(0)).tolist()


def micro_batches(gpus):
    """Tokens of each."""
    args = SimpleNamespace(
        algo=SimpleNamespace(advantage=SimpleNamespace(estimator="group_norm")),
        train=SimpleNamespace(dynamic_batch_enable=True),
        rollout=SimpleNamespace(max_tokens_per_gpu=LIMIT),
        actor=SimpleNamespace(num_nodes=1, num_gpus_per_node=gpus),
        ds=SimpleNamespace(ring_attn_size=1, tensor_parallel_size=1),
    )
    maker = RemoteExperienceMaker(
        None, None, None, None, None, SimpleNamespace(args=args), SimpleNamespace(pad_token_id=0)
    )
    rollouts = [
        Experience(sequences=torch.ones(1, each, dtype=torch.long), total_length=torch.tensor([each]))
        for each in lengths
    ]
    return [int(each.total_length.sum()) for each in maker.split_rollout_samples(rollouts)]


for gpus, count, share in ((1, 14, 0.96), (4, 12, 1.11), (8, 8, 1.66)):
    tokens = micro_batches(gpus)
    largest = max(tokens)
    print(
        f"SEEN {gpus} GPU(s): {len(tokens)} micro-batches, the largest of {largest} tokens, "
        f"{largest / LIMIT:.2f} of the limit"
    )
    assert sum(tokens) == sum(lengths) and len(tokens) == count and abs(largest / LIMIT - share) < 0.02, tokens
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
