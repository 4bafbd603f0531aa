#!/usr/bin/env bash
# verl's default trainer drops what rollout_correction asks for in bypass mode, and in the other mode a rejected token
# still counts in the mean.
#
# Versions: verl 0.9.1, torch 2.13.0, tensordict 0.10.0 (CPU).
# Behaviour: algorithm.rollout_correction.bypass_mode=true takes the server's log-probs for the old ones, and the loss
#   is then PPO's or, with loss_type=reinforce, REINFORCE with importance weights, without the tokens that rollout_rs
#   rejects: so the configuration says. The V1 trainer (trainer.use_v1=true, the default) skips the correction in this
#   mode, as the actor is to do it; but nothing tells the actor. Its loss stays PPO's clip, all tokens are in it, no
#   metric is missing but those of rollout_corr, and nothing is said. What works is to write the same settings once more
#   below actor.policy_loss.
#   Without bypass mode, rejection does take the token out of the loss. One would expect the mean over the tokens that
#   are left. The trainer writes response_mask anew, but the engine counts the tokens of loss_mask: a rejected token is
#   divided by, so that rejection also lowers the step.
# Seen (weight of each token of a response of advantage > 0, where an uncorrected mean gives 1; the trainer's
#   probability of the four tokens is 1, 1.6, 0.6 and 1 times the server's):
#   bypass mode: 1.00 0.00 0.60 1.00
#   bypass mode, reinforce, token weights: 1.00 0.00 0.60 1.00
#   bypass mode, rejection above 1.5: 1.00 0.00 0.60 1.00
#   bypass mode, reinforce, token weights, told to the actor: 1.00 1.60 0.60 1.00
#   no bypass mode, rejection above 1.5: 1.00 0.00 0.00 1.00 (mean over the 6 tokens left: 1.33)
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 transformers==5.10.4 \
  torchdata==0.11.0 tensordict==0.10.0 datasets==5.2.0 peft==0.21.2 accelerate==1.15.0 ray==2.60.0 \
  TransferQueue==0.1.11 cachetools==8.0.1 uvicorn==0.54.0 fastapi==0.165.0
cat > "$work/run.py" <<'PY'
import math
from pathlib import Path
from types import SimpleNamespace

import torch
import verl
from hydra import compose, initialize_config_dir
from tensordict import TensorDict
from verl.trainer.ppo.v1 import trainer_base
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.utils.losses import ppo_loss

PROMPT, ROWS, TOKENS = 2, 2, 4
RATIOS = [1, 1.6, 0.6, 1]
CORRECTION, ACTOR = "algorithm.rollout_correction", "actor_rollout_ref.actor.policy_loss"


def jagged(rows):
    return torch.nested.as_nested_tensor(list(rows), layout=torch.jagged)


class Batch(SimpleNamespace):
    def __len__(self):
        return ROWS


class Queue:
    """TransferQueue's two calls that these methods of the trainer make, on one batch in memory."""

    def __init__(self, data):
        self.data = data

    def kv_batch_get(self, keys, partition_id, select_fields):
        return self.data.select(*select_fields, strict=False)

    def kv_batch_put(self, keys, partition_id, fields):
        self.data.update(fields)


def weights(*settings):
    """One update by the trainer's and the actor's own code: two responses to a question, the first one right."""
    with initialize_config_dir(str(Path(verl.__file__).parent / "trainer/config"), version_base=None):
        overrides = ["actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=2", "actor_rollout_ref.rollout.n=2"]
        config = compose("ppo_trainer", overrides=[*overrides, "algorithm.adv_estimator=grpo", *settings])
    assert config.trainer.use_v1
    server = torch.full((ROWS, TOKENS), -3.0)
    server[0] -= torch.tensor([math.log(ratio) for ratio in RATIOS])
    ones, scores = torch.ones(ROWS, TOKENS, dtype=torch.long), torch.zeros(ROWS, TOKENS)
    scores[0, -1] = 1
    data = TensorDict({name: jagged(ones) for name in ("responses", "response_mask", "loss_mask")}, batch_size=ROWS)
    data["prompts"] = jagged(ones[:, :PROMPT])
    data["input_ids"] = jagged(torch.ones(ROWS, PROMPT + TOKENS, dtype=torch.long))
    data["rm_scores"], data["rollout_log_probs"] = jagged(scores), jagged(server)
    tu.assign_non_tensor_stack(data, "uid", ["question"] * ROWS)
    log_probs = torch.full((ROWS, PROMPT + TOKENS), -3.0, requires_grad=True)

    def compute_log_prob(batch):
        data["log_probs"] = data["entropy"] = jagged(log_probs.detach())
        return batch

    trainer_base.tq = Queue(data)
    batch = Batch(keys=["question_0_0", "question_1_0"], partition_id="train", extra_info={}, tags=[{}, {}])
    trainer = SimpleNamespace(config=config, actor_rollout_wg=SimpleNamespace(compute_log_prob=compute_log_prob))
    trainer_base.PPOTrainer._compute_old_log_prob(trainer, batch, {})
    trainer_base.PPOTrainer._compute_advantage(trainer, batch, {})
    # As the FSDP and Megatron engines count the tokens of an update.
    tokens = data["loss_mask"].values().sum().item()
    tu.assign_non_tensor(data, dp_size=1, batch_num_tokens=tokens, global_batch_size=ROWS)
    offsets = torch.arange(ROWS + 1) * (PROMPT + TOKENS)
    output = {"log_probs": torch.nested.nested_tensor_from_jagged(log_probs.flatten(), offsets=offsets)}
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    ppo_loss(actor, output, data)[0].backward()
    advantage = data["advantages"].values()[0].item()
    found = -log_probs.grad[0, PROMPT - 1 : -1] * ROWS * TOKENS / advantage
    return found.tolist()


BYPASS = f"{CORRECTION}.bypass_mode=true"
REINFORCE = [f"{CORRECTION}.loss_type=reinforce", f"{CORRECTION}.rollout_is=token"]
REJECT = [f"{CORRECTION}.rollout_rs=token_k1", f"{CORRECTION}.rollout_rs_threshold=1.5"]
TOLD = [f"{ACTOR}.loss_mode=bypass_mode", f"+{ACTOR}.rollout_correction.loss_type=reinforce"]
TOLD.append(f"+{ACTOR}.rollout_correction.rollout_is=token")
CLIPPED = [1, 0, 0.6, 1]
for name, settings, expected, note in (
    ("bypass mode", [BYPASS], CLIPPED, ""),
    ("bypass mode, reinforce, token weights", [BYPASS, *REINFORCE], CLIPPED, ""),
    ("bypass mode, rejection above 1.5", [BYPASS, *REJECT], CLIPPED, ""),
    ("bypass mode, reinforce, token weights, told to the actor", [BYPASS, *REINFORCE, *TOLD], RATIOS, ""),
    ("no bypass mode, rejection above 1.5", REJECT, [1, 0, 0, 1], " (mean over the 6 tokens left: 1.33)"),
):
    found = weights(*settings)
    print(f"SEEN {name}: {' '.join(f'{abs(weight):.2f}' for weight in found)}{note}")
    assert torch.allclose(torch.tensor(found), torch.tensor(expected, dtype=torch.float32), atol=1e-3), found
PY
cd "$work" && export RAY_USAGE_STATS_ENABLED=0
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
