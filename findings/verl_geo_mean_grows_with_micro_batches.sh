#!/usr/bin/env bash
# verl's loss geo_mean (GMPO) is a mean over a micro-batch, and the engine adds micro-batches up.
#
# Versions: verl 0.9.1, torch 2.13.0, tensordict 0.10.0 (CPU).
# Behaviour: actor.policy_loss.loss_mode=geo_mean averages over the sequences. The engines sum the gradients of the
#   micro-batches of an update, and each of the other losses divides by what the whole update has (tokens or sequences),
#   so how it is split is of no effect. One would expect the same here, all the more as ppo_micro_batch_size_per_gpu and
#   dynamic batches are documented as matters of memory. But geo_mean divides by the sequences of its micro-batch: the
#   gradient is as many times too large as there are micro-batches, and where these differ in size, as dynamic ones do,
#   a sequence of a small one counts more. So the gradient's norm, what clip_grad does, and which response teaches most
#   all follow from ppo_max_token_len_per_gpu. loss_agg_mode is not looked at ("not used", says the docstring).
# Seen (weight of a response in an update with responses of 10, 100, 400 and 1000 tokens, all advantages being 1):
#   geo_mean, micro-batches of 4: [0.25, 0.25, 0.25, 0.25]
#   geo_mean, micro-batches of 2: [0.50, 0.50, 0.50, 0.50]
#   geo_mean, micro-batches of 1: [1.00, 1.00, 1.00, 1.00]
#   geo_mean, dynamic, at most 1100 tokens: [0.33, 0.33, 0.33, 1.00]
#   gspo, micro-batches of 4: [0.25, 0.25, 0.25, 0.25]
#   gspo, micro-batches of 1: [0.25, 0.25, 0.25, 0.25]
#   gspo, dynamic, at most 1100 tokens: [0.25, 0.25, 0.25, 0.25]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 transformers==5.10.4 \
  torchdata==0.11.0 tensordict==0.10.0 datasets==5.2.0 peft==0.21.2 accelerate==1.15.0 ray==2.60.0 \
  TransferQueue==0.1.11 cachetools==8.0.1 uvicorn==0.54.0 fastapi==0.165.0
cat > "$work/run.py" <<'PY'
import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPActorConfig, PolicyLossConfig
from verl.workers.engine.utils import prepare_micro_batches
from verl.workers.utils.losses import ppo_loss

LENGTHS, PROMPT = [10, 100, 400, 1000], 2


def jagged(make):
    return torch.nested.as_nested_tensor([make(length) for length in LENGTHS], layout=torch.jagged)


def weights(loss, **split):
    """How much each response counts in an update, all advantages being 1."""
    actor = FSDPActorConfig(
        strategy="fsdp",
        rollout_n=4,
        ppo_micro_batch_size_per_gpu=1,
        loss_agg_mode="seq-mean-token-mean",
        policy_loss=PolicyLossConfig(loss_mode=loss),
    )
    data = TensorDict(
        {
            "prompts": jagged(lambda _: torch.ones(PROMPT, dtype=torch.long)),
            "responses": jagged(lambda n: torch.ones(n, dtype=torch.long)),
            "input_ids": jagged(lambda n: torch.ones(PROMPT + n, dtype=torch.long)),
            "response_mask": jagged(lambda n: torch.ones(n, dtype=torch.long)),
            "old_log_probs": jagged(lambda n: torch.full((n,), -1.0)),
            "advantages": jagged(lambda n: torch.ones(n)),
            "row": torch.arange(len(LENGTHS)),
        },
        batch_size=len(LENGTHS),
    )
    tu.assign_non_tensor(data, dp_size=1, batch_num_tokens=sum(LENGTHS), global_batch_size=len(LENGTHS), **split)
    change = torch.zeros(len(LENGTHS), requires_grad=True)  # of the log-probs of each response
    for part in prepare_micro_batches(data)[0]:
        rows = [torch.full((PROMPT + LENGTHS[row],), -1.0) + change[row] for row in part["row"].tolist()]
        log_probs = torch.nested.as_nested_tensor(rows, layout=torch.jagged)
        ppo_loss(actor, {"log_probs": log_probs}, part)[0].backward()
    return [-weight for weight in change.grad.tolist()]


def of(size):
    return {"use_dynamic_bsz": False, "micro_batch_size_per_gpu": size}


DYNAMIC = {"use_dynamic_bsz": True, "max_token_len_per_gpu": 1100}
EVEN = 4 * [0.25]
for name, found, expected in (
    ("geo_mean, micro-batches of 4", weights("geo_mean", **of(4)), EVEN),
    ("geo_mean, micro-batches of 2", weights("geo_mean", **of(2)), 4 * [0.5]),
    ("geo_mean, micro-batches of 1", weights("geo_mean", **of(1)), 4 * [1.0]),
    ("geo_mean, dynamic, at most 1100 tokens", weights("geo_mean", **DYNAMIC), [1 / 3, 1 / 3, 1 / 3, 1.0]),
    ("gspo, micro-batches of 4", weights("gspo", **of(4)), EVEN),
    ("gspo, micro-batches of 1", weights("gspo", **of(1)), EVEN),
    ("gspo, dynamic, at most 1100 tokens", weights("gspo", **DYNAMIC), EVEN),
):
    print(f"SEEN {name}: [{', '.join(f'{weight:.2f}' for weight in found)}]")
    assert torch.allclose(torch.tensor(found), torch.tensor(expected), rtol=1e-4), (name, found)
PY
cd "$work" && export RAY_USAGE_STATS_ENABLED=0
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
