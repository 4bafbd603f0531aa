"""A LoRA student as one model: ``python -m recipe.zppo.merge_adapter FOLDER``.

verl's merger writes the *untrained* base to the folder and the trained adapter to ``lora_adapter/`` in it
(`BaseModelMerger.save_hf_model_and_tokenizer`). Whoever loads the folder would get the model from before the training,
without a word. Here the adapter is added to the base, and stays where it is for those who want it alone.
"""

import shutil
from pathlib import Path
from typing import Any

from recipe.zppo.config.ending import Arguments, command, place
from recipe.zppo.errors import ExportError, first_line, one_line
from recipe.zppo.run.publish import new_building_folder, publish, recover
from recipe.zppo.run.weights import save_model

ADAPTER = "lora_adapter"
_MERGED = "merged"
"""A file in the adapter's folder: it is in the model already."""


def merge_adapter(
    folder: Path,
    dtype: Any = None,
    base: str | None = None,
    *,
    trust_remote_code: bool = False,
    into: Path | None = None,
) -> None:
    """Replace the base model in ``folder`` by base plus ``folder/lora_adapter``.

    A folder without an adapter is left as it is. Sums are taken in float32 and rounded once. Imports transformers and
    peft, and holds the whole model.

    Args:
        dtype: torch's; bfloat16 by default, as verl exports.
        base: the base model, where the folder has no weights.
        into: write the model there instead.

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

    source = folder if base is None or any(folder.glob("*.safetensors")) else base
    config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
    whole = get_hf_auto_model_class(config).from_pretrained(
        source, config=config, dtype=dtype or torch.bfloat16, trust_remote_code=trust_remote_code
    )
    generation_config = whole.generation_config
    model = PeftModel.from_pretrained(whole, str(adapter))  # the adapter in float32, so that a sum rounds once
    # peft itself would only warn.
    if strangers := set(load_file(adapter / "adapter_model.safetensors")) - set(get_peft_model_state_dict(model)):
        raise ValueError(f"the base model has no place for {len(strangers)} adapter weights, e.g. {min(strangers)}")
    save_model(model.merge_and_unload(), generation_config, into or folder)


def mend(folder: Path) -> None:
    """`merge_adapter` beside the folder, which is replaced by a rename; a killed one leaves it as it was.

    Raises:
        ExportError: there is no adapter, it was added before, or base or adapter can't be read.
    """
    recover(folder.resolve())
    adapter = folder / ADAPTER
    if not (adapter / "adapter_config.json").is_file():
        raise ExportError(f"{folder} has no {ADAPTER}/adapter_config.json, so there is nothing to merge")
    if (adapter / _MERGED).exists():
        raise ExportError(f"{folder} is merged already; its adapter must not be added twice")
    building = new_building_folder(folder.resolve())
    try:
        weights = {path.name for path in folder.glob("*.safetensors*")}
        shutil.copytree(folder, building, dirs_exist_ok=True, ignore=lambda *_: weights)
        merge_adapter(folder, into=building)
        (building / ADAPTER / _MERGED).touch()
        publish(building, folder.resolve())
    except (OSError, MemoryError):
        raise
    except ValueError as error:  # of transformers or peft
        raise ExportError(f"{folder}: {first_line(error)}") from error
    except Exception as error:  # of safetensors and torch, without a common type: cut-off files, other sizes
        raise ExportError(f"{folder}: base and {ADAPTER} can't be added: {one_line(error)}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


@command()
def main() -> None:
    parser = Arguments(prog="python -m recipe.zppo.merge_adapter", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=place, help="the model's folder, with lora_adapter/ in it; it is replaced")
    mend(parser.parse_args().folder)
