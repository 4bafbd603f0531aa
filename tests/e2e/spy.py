"""Writes the batches that a real run trains on to $ZPPO_SPY_DIR; loaded by VERL_USE_EXTERNAL_MODULES.

It only looks: the trainer's `_update_actor` is wrapped to save what TransferQueue holds for the batch.
"""

import os

from recipe.after_import import after_import

FIELDS = ("prompts", "responses", "response_mask", "loss_mask", "old_log_probs", "rollout_log_probs", "advantages")
SCORES = ("teacher_ids", "teacher_logprobs")


def _wrap(module) -> None:
    import torch
    import transfer_queue as tq

    update = module.ZPPOTrainer._update_actor

    def spied(self, batch, metrics):
        fields = FIELDS + (SCORES if self.distills else ())
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=[*fields, "uid"])
        rows = []
        for i, key in enumerate(batch.keys):
            row = {field: data[field][i].tolist() for field in fields}
            rows.append(
                row | {"key": key, "uid": str(key).rsplit("_", 2)[0], "padding": batch.tags[i].get("is_padding")}
            )
        torch.save(rows, os.path.join(os.environ["ZPPO_SPY_DIR"], f"batch_{self.global_steps}.pt"))
        result = update(self, batch, metrics)
        torch.save(dict(batch.extra_info), os.path.join(os.environ["ZPPO_SPY_DIR"], f"info_{self.global_steps}.pt"))
        return result

    module.ZPPOTrainer._update_actor = spied


if os.environ.get("ZPPO_SPY_DIR"):
    after_import("recipe.zppo.on_verl.trainer", _wrap)
