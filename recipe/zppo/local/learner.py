"""The update: verl's policy loss, or the Jensen-Shannon divergence to the teacher, on a small model in this process."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch.nn import functional as F
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.torch_dtypes import PrecisionType
from verl.workers.config.optimizer import build_optimizer

from recipe.cpu import heap
from recipe.zppo.jsd import token_jsd
from recipe.zppo.local.master_weights import MasterWeights
from recipe.zppo.local.packed_groups import Chunk, Trajectory, can_share, chunks
from recipe.zppo.local.token_log_probs import token_log_probs
from recipe.zppo.on_verl.borrowed import get_policy_loss_fn
from recipe.zppo.randomness import derive_seed

_OVER_ALL = ("actor/pg_loss", "actor/pg_clipfrac", "actor/pg_clipfrac_lower")
"""Metrics to which a token without an advantage adds 0."""


class Learner:
    """Optimiser and loss over a model, with the settings of ``actor_rollout_ref.actor`` (see `check_supported`)."""

    def __init__(self, model: Any, config: DictConfig, pad_token_id: int):
        self.actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
        self.temperature = float(config.actor_rollout_ref.rollout.temperature)
        self.computes_all = not config.zppo.skip_zero_advantages
        self.seed = int(config.zppo.seed)
        self.model, self.pad = model, pad_token_id
        self.master = MasterWeights(
            model, PrecisionType.to_dtype(config.actor_rollout_ref.actor.fsdp_config.model_dtype)
        )
        self.optimizer = self._optimizer(self.actor.optim)
        if model.device.type == "cpu":  # a GPU has an allocator of its own
            heap.give_back_in_backward(model)

    def _optimizer(self, optim: Any) -> torch.optim.Optimizer:
        if optim.optimizer_impl != "torch.optim":
            return build_optimizer(self.master.weights, optim)
        settings = {"lr": optim.lr, "betas": tuple(optim.betas), "weight_decay": optim.weight_decay, "fused": True}
        return torch.optim.AdamW(self.master.weights, **settings | dict(optim.override_optimizer_config or {}))

    def policy_update(
        self, batch: Sequence[Trajectory], advantages: np.ndarray, parts: Sequence[Sequence[int]]
    ) -> dict[str, float]:
        """A gradient step for each mini-batch, given as indices; ``advantages`` (N,), one a sequence.

        Returns:
            verl's ``actor/*``: means over the tokens of a mini-batch, then over the mini-batches. Where tokens without
            an advantage would count, they are left out. ``actor/entropy`` is of the policy that wrote the responses.
        """
        collected: list[Mapping[str, float]] = []
        for part in filter(len, parts):
            num_tokens = sum(len(batch[i].log_probs) for i in part)
            self.actor.global_batch_info.update(dp_size=1, batch_num_tokens=num_tokens, loss_scale_factor=None)
            self.actor.global_batch_info["global_batch_size"] = len(part)
            moving = [i for i in part if advantages[i] or self.computes_all]  # the others' gradient is zero
            sequences, by_row = [batch[i] for i in moving], torch.tensor(advantages[moving], dtype=torch.float32)
            sums: defaultdict[str, float] = defaultdict(float, dict.fromkeys(_OVER_ALL, 0.0))
            counted = sum(len(sequence.log_probs) for sequence in sequences)
            for chunk in self._chunks(sequences, self.model):
                loss, metrics = self._policy_gradient(chunk, sequences, by_row)
                sums["actor/pg_loss"] += loss
                for name, value in metrics.items():  # means over the chunk's tokens
                    sums[name] += value * len(chunk.targets) / (num_tokens if name in _OVER_ALL else counted)
            if not sequences:
                self._no_gradient()
            collected.append({**sums, "actor/grad_norm": self._apply()})
        names = {name: None for metrics in collected for name in metrics}
        means = {name: float(np.mean([row[name] for row in collected if name in row])) for name in names}
        return means | {
            "actor/loss": means["actor/pg_loss"],
            "actor/lr": self.actor.optim.lr,
            "actor/entropy": sum(row.entropy for row in batch) / sum(len(row.log_probs) for row in batch),
        }

    def _policy_gradient(
        self, chunk: Chunk, sequences: Sequence[Trajectory], advantages: torch.Tensor
    ) -> tuple[float, dict[str, float]]:
        """Add the gradient of the chunk's tokens; gives their share of the loss, and the means of other metrics."""
        logits = self.model.get_output_embeddings()(chunk.hidden(self.model))
        chosen, entropies = token_log_probs(logits, chunk.targets, self.temperature)
        del logits
        loss, metrics = get_policy_loss_fn(self.actor.policy_loss.get("loss_mode", "vanilla"))(
            old_log_prob=torch.tensor([p for row in chunk.order for p in sequences[row].log_probs])[None],
            log_prob=chosen[None],
            advantages=advantages[chunk.sequences][None],
            response_mask=torch.ones_like(chosen, dtype=torch.bool)[None],
            loss_agg_mode=self.actor.loss_agg_mode,
            config=self.actor,
        )
        loss.backward()
        if self.actor.calculate_entropy:
            metrics["actor/entropy_loss"] = float(entropies.mean())
        return loss.item(), metrics

    def distillation_update(
        self,
        batch: Sequence[Trajectory],
        teacher: Any,
        parts: Sequence[Sequence[int]],
        *,
        topk: int | None,
        weights: np.ndarray | None,
    ) -> dict[str, float]:
        """A gradient step for each mini-batch on the per-token divergence to ``teacher`` (Algs. 2 and 3: one).

        ``weights`` (N,) of one token of each sequence, see `question_weights`; None is the mean over tokens.
        """
        losses, norms = [], []
        for part in filter(len, parts):
            sequences = [batch[i] for i in part]
            num_tokens = sum(len(sequence.response_ids) - sequence.loss_from for sequence in sequences)
            every = np.full(len(batch), 1 / num_tokens) if weights is None else weights
            by_row = torch.tensor(every[part], dtype=torch.float32)
            total = 0.0
            for chunk in self._chunks(sequences, self.model, teacher):
                with torch.no_grad():
                    teacher_log_probs, ids = F.log_softmax(self._logits(teacher, chunk), dim=-1), None
                    if topk is not None and topk < teacher_log_probs.shape[-1]:
                        teacher_log_probs, ids = teacher_log_probs.topk(topk, dim=-1)
                divergences = token_jsd(self._logits(self.model, chunk), teacher_log_probs, ids).jsd
                loss = (divergences * by_row[chunk.sequences]).sum()
                loss.backward()
                total += loss.item()
            losses.append(total)
            norms.append(self._apply())
        loss, norm = float(np.mean(losses)), float(np.mean(norms))
        metrics = {"actor/distillation/loss": loss, "actor/loss": loss, "actor/grad_norm": norm}
        return metrics | {"actor/lr": self.actor.optim.lr}

    def _no_gradient(self) -> None:
        """Zeros, with which the optimiser still steps: its moments go on."""
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)

    def _apply(self) -> float:
        self.master.take_gradients()
        norm = torch.nn.utils.clip_grad_norm_(self.master.weights, self.actor.optim.clip_grad)
        if torch.isfinite(norm):  # as verl's engines: a step that is not finite is left out
            self._step()
            self.master.give_to_model()
        self.optimizer.zero_grad()
        heap.give_back()
        return float(norm)

    def _step(self) -> None:
        """Chance, where it rounds, follows from the seed and the number of the update: a run resumes exactly."""
        done = self.optimizer.state.get(self.master.weights[0], {}).get("step", 0)
        torch.manual_seed(derive_seed(self.seed, "rounding", int(done)))
        # torchao compiles its step, for which a CPU may have no compiler.
        with torch.compiler.set_stance("force_eager" if self.model.device.type == "cpu" else "default"):
            self.optimizer.step()

    def _logits(self, model: Any, chunk: Chunk) -> torch.Tensor:
        """(N, V) at the loss tokens only, divided by the sampling temperature."""
        return model.get_output_embeddings()(chunk.hidden(model)).float() / self.temperature

    def _chunks(self, sequences: Sequence[Trajectory], *models: Any) -> Iterator[Chunk]:
        vocabulary = self.model.get_output_embeddings().weight.shape[0]
        return chunks(sequences, self.pad, vocabulary, share=all(map(can_share, models)))
