#!/usr/bin/env bash
# verl's loss for Dr. GRPO divides by the longest response of a micro-batch: in micro-batches of one it is GRPO's loss.
#
# Versions: verl 0.9.1, torch 2.13.0, tensordict 0.10.0 (CPU).
# Behaviour: loss_agg_mode=seq-mean-token-sum-norm is there to give every token one weight, whatever the length of its
#   response. It divides the sum over a response's tokens by actor.loss_scale_factor, and where that is left at null by
#   the response length, says the configuration. One would expect data.max_response_length, or at least one number for
#   an update. The engines hold sequences without padding and pad a micro-batch to its own longest response: that is the
#   number. So the gradient of an update depends on how it is split, dynamic batches included, and a token in a
#   micro-batch of short responses weighs more. In micro-batches of one response each is divided by its own length: the
#   bias that Dr. GRPO takes out, exactly GRPO's seq-mean-token-mean. With loss_scale_factor set, or token-mean, the
#   split is of no effect.
# Seen (weight of a token in an update with responses of 10, 100, 400 and 1000 tokens, x 1000):
#   seq-mean-token-sum-norm, micro-batches of 4: [0.25, 0.25, 0.25, 0.25]
#   seq-mean-token-sum-norm, micro-batches of 2: [2.50, 2.50, 0.25, 0.25]
#   seq-mean-token-sum-norm, micro-batches of 1: [25.00, 2.50, 0.62, 0.25]
#   seq-mean-token-sum-norm, dynamic, at most 1100 tokens: [0.62, 0.62, 0.62, 0.25]
#   seq-mean-token-mean, micro-batches of 1: [25.00, 2.50, 0.62, 0.25]
#   seq-mean-token-sum-norm with loss_scale_factor 1000, micro-batches of 1: [0.25, 0.25, 0.25, 0.25]
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
from verl.workers.config import FSDPActorConfig
from verl.workers.engine.utils import prepare_micro_batches
from verl.workers.utils.losses import ppo_loss

LENGTHS, PROMPT = [10, 100, 400, 1000], 2


def jagged(make):
    return torch.nested.as_nested_tensor([make(length) for length in LENGTHS], layout=torch.jagged)


def weights(mode, factor=None, **split):
    """How much a token of each response counts in an update, all advantages being 1 (x 1000)."""
    actor = FSDPActorConfig(
        strategy="fsdp", rollout_n=4, ppo_micro_batch_size_per_gpu=1, loss_agg_mode=mode, loss_scale_factor=factor
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
    return [-1000 * total / length for total, length in zip(change.grad.tolist(), LENGTHS)]


def of(size):
    return {"use_dynamic_bsz": False, "micro_batch_size_per_gpu": size}


DYNAMIC = {"use_dynamic_bsz": True, "max_token_len_per_gpu": 1100}
NORM, GRPO = "seq-mean-token-sum-norm", "seq-mean-token-mean"
OWN = [25, 2.5, 0.625, 0.25]
for name, found, expected in (
    (f"{NORM}, micro-batches of 4", weights(NORM, **of(4)), 4 * [0.25]),
    (f"{NORM}, micro-batches of 2", weights(NORM, **of(2)), [2.5, 2.5, 0.25, 0.25]),
    (f"{NORM}, micro-batches of 1", weights(NORM, **of(1)), OWN),
    (f"{NORM}, dynamic, at most 1100 tokens", weights(NORM, **DYNAMIC), [0.625, 0.625, 0.625, 0.25]),
    (f"{GRPO}, micro-batches of 1", weights(GRPO, **of(1)), OWN),
    (f"{NORM} with loss_scale_factor 1000, micro-batches of 1", weights(NORM, 1000, **of(1)), 4 * [0.25]),
):
    print(f"SEEN {name}: [{', '.join(f'{weight:.2f}' for weight in found)}]")
    assert torch.allclose(torch.tensor(found), torch.tensor(expected), rtol=1e-4), found
PY
cd "$work" && export RAY_USAGE_STATS_ENABLED=0
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
