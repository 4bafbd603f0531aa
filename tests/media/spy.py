"""Writes what servers and trainer of a real run compute with to $ZPPO_SPY_DIR; loaded by VERL_USE_EXTERNAL_MODULES.

It only looks. Requests: model, prompt, vision features. Batches: what TransferQueue holds when the update begins.
Updates: what the engine hands to the model.
"""

import os
from uuid import uuid4

from recipe.after_import import after_import

FIELDS = ("prompts", "responses", "input_ids", "position_ids", "multi_modal_inputs", "old_log_probs")
FIELDS += ("rollout_log_probs",)


def _save(kind: str, content) -> None:
    import torch

    torch.save(content, os.path.join(os.environ["ZPPO_SPY_DIR"], f"{kind}_{uuid4().hex}.pt"))


def _server(module) -> None:
    request = module.HFGenerator.request

    def spied(self, *args, **kwargs):
        result = request(self, *args, **kwargs)
        path = self.model.config._name_or_path
        _save("request", {"model": path, "ids": result.prompt_ids, "features": dict(result.features)})
        return result

    module.HFGenerator.request = spied


def _trainer(module) -> None:
    import transfer_queue as tq

    update = module.ZPPOTrainer._update_actor

    def spied(self, batch, metrics):
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=list(FIELDS))
        rows = [
            {field: data[field][i] for field in FIELDS} | {"key": key, "padding": batch.tags[i].get("is_padding")}
            for i, key in enumerate(batch.keys)
        ]
        for row in rows:
            inputs = row["multi_modal_inputs"]
            row["multi_modal_inputs"] = dict(getattr(inputs, "data", inputs) or {})
        _save(f"batch{self.global_steps}", rows)
        return update(self, batch, metrics)

    module.ZPPOTrainer._update_actor = spied


def _engine(module) -> None:
    prepare = module.FSDPEngineWithLMHead.prepare_model_inputs

    def spied(self, micro_batch):
        inputs, output_args = prepare(self, micro_batch)
        kept = {name: value for name, value in inputs.items() if hasattr(value, "shape")}
        _save("update", kept)
        return inputs, output_args

    module.FSDPEngineWithLMHead.prepare_model_inputs = spied


if os.environ.get("ZPPO_SPY_DIR"):
    after_import("recipe.cpu.hf_generator", _server)
    after_import("recipe.zppo.on_verl.trainer", _trainer)
    after_import("verl.workers.engine.fsdp.transformer_impl", _engine)
