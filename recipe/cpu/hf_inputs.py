"""A batch of requests as a model's arguments."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from recipe.cpu.hf_requests import Request
from recipe.cpu.hf_vision import IMAGE, VIDEO, Vision


class ModelInputs:
    """Prompts are left-padded to the longest of the batch; images of all rows travel together, in row order."""

    def __init__(self, model: Any, vision: Vision, pad: int):
        self.model, self.vision, self.pad = model, vision, pad
        self._takes_token_types = "mm_token_type_ids" in inspect.signature(model.forward).parameters

    def __call__(self, requests: Sequence[Request]) -> dict[str, torch.Tensor]:
        """input_ids and attention_mask (B, T), and the vision features."""
        width = max(len(request.prompt_ids) for request in requests)
        ids = [[self.pad] * (width - len(request.prompt_ids)) + request.prompt_ids for request in requests]
        input_ids = torch.tensor(ids)
        lengths = torch.tensor([len(request.prompt_ids) for request in requests])
        attention_mask = (torch.arange(width) >= width - lengths[:, None]).long()
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        names = {name for request in requests for name in request.features}
        for name in names:
            inputs[name] = torch.cat([request.features[name] for request in requests if name in request.features])
        if names and self._takes_token_types:
            types = torch.zeros_like(input_ids)
            for number, kind in ((1, IMAGE), (2, VIDEO)):
                if self.vision.token_ids[kind] is not None:
                    types[(input_ids == self.vision.token_ids[kind]) & attention_mask.bool()] = number
            inputs["mm_token_type_ids"] = types
        return {name: tensor.to(self.model.device) for name, tensor in inputs.items()}
