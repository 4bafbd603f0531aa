"""The batch of a step on verl's trainer: which rows are in it, in which order, and how many updates learn from it."""

from typing import Any

import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.mini_batches import mini_batches
from recipe.zppo.on_verl.learning_rows import is_exact, learning_rows
from recipe.zppo.on_verl.mini_batches import padded_size, put_in_order, uid_of
from recipe.zppo.randomness import generator
from recipe.zppo.run import metrics as zppo_metrics
from recipe.zppo.types import Group


class BatchTrainer(PPOTrainerSync):
    """verl's synchronous trainer, whose batch is cut into I mini-batches, whatever its size."""

    zppo: ZPPOConfig
    distills: bool
    """The loss is the divergence to the teacher."""

    @property
    def skips(self) -> bool:
        """Rows without an advantage are not computed."""
        return self.zppo.skip_zero_advantages and not self.distills and is_exact(self.config.actor_rollout_ref.actor)

    def _train_batch(self, groups: list[Group]) -> KVBatchMeta:
        """The groups' trajectories, in an order that does not depend on which was finished first. Where no group
        trains, those that do not: verl's fit() clears what it gets from a step, and can't clear nothing.
        """
        tags = tq.kv_list("train").get("train", {})
        keys = [rollout.key for group in groups for rollout in group.rollouts]
        left_over = sorted(tags.keys() - set(keys))  # of groups that do not train, or were dropped
        if keys and left_over:
            tq.kv_clear(keys=left_over, partition_id="train")
        kept = keys or left_over
        batch = KVBatchMeta(partition_id="train", keys=kept, tags=[dict(tags[key]) for key in kept])
        batch.extra_info["temperature"] = self.config.actor_rollout_ref.rollout.temperature
        return batch

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict, **options: Any) -> KVBatchMeta:
        """verl's call, which pads the batch; then its rows in the order of our mini-batches, drawn anew each step."""
        draw = generator(self.zppo.seed, "mini-batches", self.global_steps)
        uids = [uid_of(key) for key in batch.keys]
        indices = mini_batches(uids, self.zppo.updates_per_step, self.zppo.mini_batches, draw)
        # Fewer rollouts than updates (dynamic sampling, failed groups) make fewer updates: padding alone has no loss.
        self.parts = [[batch.keys[i] for i in part] for part in indices if part]
        batch = super()._balance_batch(batch, metrics=metrics, **options)
        metrics.update(put_in_order(batch, self.parts, self.num_ranks))
        if self.zppo.advantage_statistics == "mini_batch":
            self.config.algorithm.zppo_mini_batches = len(self.parts)
        self.config.algorithm.zppo_mini_batch_rows = len(batch) // (self.num_ranks * len(self.parts))
        return batch

    def _get_required_batch_multiple(self, dp_size: int) -> int:
        """Every rank gets I equal mini-batches, whatever the number of groups; verl pads what is missing."""
        self.num_ranks = dp_size
        return padded_size(self.parts, dp_size)

    def _update_actor(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        """I updates: verl's call with ``num_mini_batch`` in place of a fixed mini-batch size."""
        actor = self.config.actor_rollout_ref.actor
        batch.extra_info |= {
            "calculate_entropy": actor.calculate_entropy or actor.entropy_coeff != 0.0,
            "distillation_use_topk": self.distills,
            "distillation_only": self.distills,
            "global_batch_size": len(batch) // len(self.parts),
            "num_mini_batch": len(self.parts),
            "epochs": 1,
            "dataloader_kwargs": {"shuffle": False},  # `_balance_batch` has put the rows in order
            "temperature": self.config.actor_rollout_ref.rollout.temperature,
        }
        rows = learning_rows(batch, self.parts, self.num_ranks) if self.skips else batch
        output = self.actor_rollout_wg.update_actor(rows)
        metrics.update(zppo_metrics.actor_metrics(output["metrics"]))
        return batch
