"""A LoRA student as one model: ``python -m recipe.zppo.merge_adapter FOLDER``.

verl's merger writes the *untrained* base to the folder and the trained adapter to ``lora_adapter/`` in it
(`BaseModelMerger.save_hf_model_and_tokenizer`). Whoever loads the folder would get the model from before the training,
without a word. Here the adapter is added to the base, and stays where it is for those who want it alone.
"""

import sys
from pathlib import Path

ADAPTER = "lora_adapter"


def merge_adapter(folder: Path) -> None:
    """Replace the base model in ``folder`` by base plus ``folder/lora_adapter``; in bfloat16, as verl exports.

    A folder without an adapter is left as it is. Sums are taken in float32 and rounded once. Imports transformers and
    peft, and holds the whole model.

    Raises:
        ValueError: a weight of the adapter fits nothing in the base.
    """
    adapter = folder / ADAPTER
    if not adapter.is_dir():
        return
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file
    from transformers import AutoConfig
    from verl.utils.model import get_hf_auto_model_class

    config = AutoConfig.from_pretrained(folder)
    base = get_hf_auto_model_class(config).from_pretrained(folder, config=config, dtype=torch.bfloat16)
    model = PeftModel.from_pretrained(base, str(adapter))  # the adapter in float32, so that a sum rounds once
    # peft itself would only warn.
    if strangers := set(load_file(adapter / "adapter_model.safetensors")) - set(get_peft_model_state_dict(model)):
        raise ValueError(f"the base model has no place for {len(strangers)} adapter weights, e.g. {min(strangers)}")
    model.merge_and_unload().save_pretrained(folder)


def main() -> None:
    merge_adapter(Path(sys.argv[1]))
