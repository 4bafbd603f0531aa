"""The distillation loss in verl: Jensen-Shannon divergence per token, registered as ``jsd``.

verl computes a top-k divergence where the logits are, in a "logits processor", because (tokens, vocabulary) tensors do
not leave the engine, and calls the same function again for the loss. Its own one (`losses.py: compute_topk_loss`) knows
the forward KL only, so the whole function is replaced: `distillation_loss_fn` goes to the actor workers by
``set_loss_fn``. Pickled by reference, it imports this module there, which also registers the loss in that process.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.distillation.losses import (
    DistillationLossSettings,
    get_distillation_loss_fn,
    register_distillation_loss,
)
from verl.trainer.ppo.core_algos import agg_loss
from verl.utils.metric import AggregationType, Metric
from verl.utils.ulysses import get_ulysses_sequence_parallel_world_size, slice_input_tensor
from verl.workers.utils.padding import no_padding_2_padding

from recipe.zppo.jsd import bucket_error_bound, token_jsd
from recipe.zppo.mini_batches import question_weights
from recipe.zppo.on_verl.mini_batches import uid_of

NAME = "jsd"

_WEIGHTS = "question_weights"
"""(rows,) in TransferQueue: what one response token of the row weighs in the loss."""

LOSSES, STUDENT_MASS, TEACHER_MASS = "distillation_losses", "student_mass", "teacher_mass"
"""Names of verl's model outputs."""


def distillation_loss_fn(actor: DictConfig) -> partial:
    """What ``set_loss_fn`` takes, from the actor's config."""
    return partial(jsd_loss, loss_agg_mode=actor.loss_agg_mode, loss_scale_factor=actor.get("loss_scale_factor"))


def jsd_loss(
    *,
    loss_agg_mode: str,
    loss_scale_factor: float | None = None,
    model_output: dict | None = None,
    data: TensorDict,
    dp_group: Any = None,
    student_logits: torch.Tensor | None = None,
    data_format: str = "thd",
) -> dict[str, torch.Tensor] | tuple[torch.Tensor, dict[str, Any]]:
    """Called twice by verl's engine: with ``student_logits`` as logits processor, then for the loss.

    ``token-mean``, verl's default, is the mean divergence of a response token over the whole mini-batch, whatever
    micro-batches and ranks it is spread over. Off-policy (`put_question_weights`) it is the mean over questions,
    whatever ``loss_agg_mode`` says; another one is refused before the run.
    """
    if student_logits is not None:
        return token_losses(student_logits, data)
    per_token, metrics = get_distillation_loss_fn(NAME)(None, None, model_output, data)
    if _WEIGHTS in data.keys():  # noqa: SIM118  (a TensorDict has no `in`)
        loss = (per_token * _response_mask(data) * data[_WEIGHTS].unsqueeze(-1)).sum() * data["dp_size"]
    else:
        loss = agg_loss(
            loss_mat=per_token,
            loss_mask=_response_mask(data),
            loss_agg_mode=loss_agg_mode,
            dp_size=data["dp_size"],
            batch_num_tokens=data["batch_num_tokens"],
            global_batch_size=data["global_batch_size"],
            loss_scale_factor=loss_scale_factor,
        )
    return loss, metrics | {"distillation/loss": Metric(AggregationType.SUM, loss)}


def put_question_weights(batch: KVBatchMeta, parts: Sequence[Sequence[str]]) -> None:
    """Weights of Alg. 2 for the rows of a batch: each question counts once, however many targets it has.

    Args:
        parts: keys of each mini-batch; other rows are padding and weigh nothing.
    """
    place = {key: i for i, key in enumerate(batch.keys)}
    lengths = [tag["response_len"] for tag in batch.tags]
    indices = [[place[key] for key in part] for part in parts]
    weights = question_weights([uid_of(key) for key in batch.keys], lengths, indices)
    fields = TensorDict({_WEIGHTS: torch.tensor(weights, dtype=torch.float32)}, batch_size=len(batch))
    tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)


def token_losses(student_logits: torch.Tensor, data: TensorDict) -> dict[str, torch.Tensor]:
    """Divergence and masses inside the teacher's top-k, (1, tokens) each, at every position of the packed sequences.

    Args:
        student_logits: (1, tokens, V); with sequence parallelism this rank's share of the tokens.
        data: with ``teacher_ids`` and ``teacher_logprobs``, nested (sequences, length, K), all tokens.
    """
    log_probs, ids = (data[name].values().unsqueeze(0) for name in ("teacher_logprobs", "teacher_ids"))
    if get_ulysses_sequence_parallel_world_size() > 1:
        log_probs, ids = slice_input_tensor(log_probs, dim=1), slice_input_tensor(ids, dim=1)
    result = token_jsd(student_logits.squeeze(0), log_probs.squeeze(0), ids.squeeze(0))
    return {
        LOSSES: result.jsd.unsqueeze(0),
        STUDENT_MASS: (1 - result.student_rest).unsqueeze(0),
        TEACHER_MASS: (1 - result.teacher_rest).unsqueeze(0),
    }


@register_distillation_loss(DistillationLossSettings(names=[NAME], use_topk=True))
def jsd_of_responses(
    config: Any, distillation_config: Any, model_output: dict, data: TensorDict
) -> tuple[torch.Tensor, dict[str, Any]]:
    """The divergences of the response tokens, (sequences, longest response), and metrics over them.

    Means are over the response tokens of the mini-batch: this micro-batch's sum over their number, to be summed up.
    A micro-batch of padding rows alone has no such token and adds 0.
    """
    losses, student, teacher = (
        no_padding_2_padding(model_output[name], data) for name in (LOSSES, STUDENT_MASS, TEACHER_MASS)
    )
    mask = _response_mask(data)
    bound = bucket_error_bound(1 - student.detach(), 1 - teacher.detach())

    def mean(values: torch.Tensor) -> Metric:
        total = (values.detach() * mask).sum() / data["batch_num_tokens"] * data["dp_size"]
        return Metric(AggregationType.SUM, total)

    metrics = {
        "distillation/jsd": mean(losses),
        "distillation/jsd_max": Metric(AggregationType.MAX, (losses.detach() * mask).max()),
        "distillation/student_mass": mean(student),
        "distillation/teacher_mass": mean(teacher),
        "distillation/error_bound": mean(bound),
    }
    return losses, metrics


def _response_mask(data: TensorDict) -> torch.Tensor:
    mask = data["response_mask"].bool()
    return mask.to_padded_tensor(False) if mask.is_nested else mask
