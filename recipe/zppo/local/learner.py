"""The update: verl's policy loss, or the Jensen-Shannon divergence to the teacher, on a small model in this process."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch.nn import functional as F
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.torch_dtypes import PrecisionType
from verl.workers.config.optimizer import build_optimizer

from recipe.zppo.errors import ConfigError
from recipe.zppo.jsd import token_jsd
from recipe.zppo.local.master_weights import MasterWeights
from recipe.zppo.local.packed_groups import Chunk, Trajectory, can_share, chunks
from recipe.zppo.on_verl.borrowed import get_policy_loss_fn


class Learner:
    """Optimiser and loss over a model, with the settings of ``actor_rollout_ref.actor``."""

    def __init__(self, model: Any, config: DictConfig, pad_token_id: int):
        self.actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
        self.temperature = float(config.actor_rollout_ref.rollout.temperature)
        self.model, self.pad = model, pad_token_id
        if self.actor.loss_agg_mode != "token-mean" or self.actor.use_kl_loss or self.actor.entropy_coeff:
            raise ConfigError(
                "recipe.zppo.local knows the paper's loss only (actor.loss_agg_mode=token-mean, no KL, no entropy "
                "bonus); use verl.trainer.main_zppo for others"
            )
        optim = self.actor.optim
        if optim.lr_warmup_steps > 0 or optim.lr_warmup_steps_ratio > 0 or optim.lr_scheduler_type != "constant":
            raise ConfigError(
                "recipe.zppo.local has a constant learning rate only, as the paper (actor.optim.lr_scheduler_type, "
                "lr_warmup_steps); use verl.trainer.main_zppo for others"
            )
        self.master = MasterWeights(
            model, PrecisionType.to_dtype(config.actor_rollout_ref.actor.fsdp_config.model_dtype)
        )
        self.optimizer = self._optimizer(optim)

    def _optimizer(self, optim: Any) -> torch.optim.Optimizer:
        if optim.optimizer_impl != "torch.optim":
            return build_optimizer(self.master.weights, optim)
        return torch.optim.AdamW(
            self.master.weights, lr=optim.lr, betas=tuple(optim.betas), weight_decay=optim.weight_decay, foreach=True
        )

    def policy_update(
        self, batch: Sequence[Trajectory], advantages: np.ndarray, parts: Sequence[Sequence[int]]
    ) -> dict[str, float]:
        """A gradient step for each mini-batch, given as indices; ``advantages`` (N,), one a sequence."""
        loss_fn = get_policy_loss_fn(self.actor.policy_loss.get("loss_mode", "vanilla"))
        collected: list[dict[str, float]] = []
        for part in filter(len, parts):
            sequences = [batch[i] for i in part]
            old = [torch.tensor(sequence.log_probs) for sequence in sequences]
            by_row = torch.tensor(advantages[part], dtype=torch.float32)
            num_tokens = sum(len(log_probs) for log_probs in old)
            self.actor.global_batch_info.update(dp_size=1, batch_num_tokens=num_tokens, loss_scale_factor=None)
            self.actor.global_batch_info["global_batch_size"] = len(sequences)
            sums = {"actor/entropy": 0.0, "actor/pg_clipfrac": 0.0, "actor/ppo_kl": 0.0, "actor/pg_loss": 0.0}
            for chunk in self._chunks(sequences, self.model):
                log_probs = F.log_softmax(self._logits(self.model, chunk), dim=-1)
                chosen = log_probs.gather(-1, chunk.targets[:, None])[None, :, 0]
                loss, metrics = loss_fn(
                    old_log_prob=torch.cat([old[row] for row in chunk.order])[None],
                    log_prob=chosen,
                    advantages=by_row[chunk.sequences][None],
                    response_mask=torch.ones_like(chosen, dtype=torch.bool),
                    loss_agg_mode=self.actor.loss_agg_mode,
                    config=self.actor,
                )
                loss.backward()
                share = chosen.numel() / num_tokens
                with torch.no_grad():
                    sums["actor/entropy"] -= float((log_probs.exp() * log_probs).sum(-1).mean()) * share
                sums["actor/pg_loss"] += loss.item()
                for name in ("actor/pg_clipfrac", "actor/ppo_kl"):
                    sums[name] += metrics[name] * share
            collected.append(sums | {"actor/grad_norm": self._apply()})
        return {name: float(np.mean([metrics[name] for metrics in collected])) for name in collected[0]}

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
        return {"actor/distillation/loss": float(np.mean(losses)), "actor/grad_norm": float(np.mean(norms))}

    def _apply(self) -> float:
        self.master.take_gradients()
        norm = torch.nn.utils.clip_grad_norm_(self.master.weights, self.actor.optim.clip_grad)
        if torch.isfinite(norm):  # as verl's engines: a step that is not finite is left out
            self.optimizer.step()
            self.master.give_to_model()
        self.optimizer.zero_grad()
        return float(norm)

    def _logits(self, model: Any, chunk: Chunk) -> torch.Tensor:
        """(N, V) at the loss tokens only, divided by the sampling temperature."""
        return model.get_output_embeddings()(chunk.hidden(model)).float() / self.temperature

    def _chunks(self, sequences: Sequence[Trajectory], *models: Any) -> Iterator[Chunk]:
        vocabulary = self.model.get_output_embeddings().weight.shape[0]
        return chunks(sequences, self.pad, vocabulary, share=all(map(can_share, models)))
