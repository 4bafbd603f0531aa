"""verl's own work in the trainer's process that a step cannot do without, for comparison with ours.

It is linear in the batch (but for the partition), so a slice of the rows is run and scaled.
"""

from __future__ import annotations

import torch
from tensordict import TensorDict
from verl import DataProto
from verl.trainer.ppo.metric_utils import compute_data_metrics, compute_variance_proxy_metrics
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions
from verl.workers.utils.padding import response_to_nested

from benchmarks.measure import Parts
from benchmarks.paper_step import ACTOR_RANKS, NUM_ROLLOUTS, PROMPT_TOKENS, RESPONSE_TOKENS


def measure_verl(parts: Parts, rows: int = 576) -> None:
    scale = NUM_ROLLOUTS / rows
    note = f"{rows} of {NUM_ROLLOUTS:,} rows, scaled"
    lengths = torch.randint(1_000, RESPONSE_TOKENS + PROMPT_TOKENS, (NUM_ROLLOUTS,))
    with parts.part("verl: partition over ranks", "verl", note=f"{ACTOR_RANKS} ranks"):
        get_seqlen_balanced_partitions(calculate_workload(lengths), k_partitions=ACTOR_RANKS, equal_size=True)

    def nested(width: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.nested.as_nested_tensor([torch.ones(width, dtype=dtype)] * rows, layout=torch.jagged)

    floats = {name: nested(RESPONSE_TOKENS, torch.float32) for name in ("rm_scores", "old_log_probs")}
    mask = nested(RESPONSE_TOKENS, torch.int64)
    fields = TensorDict({**floats, "rollout_log_probs": floats["rm_scores"], "response_mask": mask}, batch_size=rows)
    with parts.part("verl: padding around the estimator", "verl", scale=scale, note=note):
        padded = fields.to_padded_tensor()
        for _ in ("advantages", "returns"):
            response_to_nested(padded["rm_scores"], mask)
    data = TensorDict(
        {
            "prompts": torch.ones(rows, PROMPT_TOKENS, dtype=torch.int64),
            "responses": torch.ones(rows, RESPONSE_TOKENS, dtype=torch.int64),
            "response_mask": padded["response_mask"],
            "prompt_length": torch.full((rows,), float(PROMPT_TOKENS)),
            "response_length": torch.full((rows,), float(RESPONSE_TOKENS)),
            **{name: torch.rand(rows, RESPONSE_TOKENS) for name in ("advantages", "returns", "token_level_scores")},
            "token_level_rewards": torch.rand(rows, RESPONSE_TOKENS),
        },
        batch_size=rows,
    )
    with parts.part("verl: metrics of the batch", "verl", scale=scale, note=note):
        batch = DataProto(batch=data).select_idxs(torch.ones(rows, dtype=torch.bool))
        compute_data_metrics(batch=batch, use_critic=False)
        compute_variance_proxy_metrics(batch=batch, gradient_norm=1.0)
