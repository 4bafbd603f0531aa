r"""Tokenizer, chat template and processor of the picture world, made offline.

The tokenizer is word level like the price list's: words of the questions, numbers 0 to 31, Qwen's vision tokens, and
each fixed sentence of the templates as one token. Line breaks are kept (verl's token builder for Qwen asks for a line
break of one token); other white space is dropped on reading, and none is written but between the parts of a chain.
The image processor is Qwen's (Qwen3.5 uses Qwen2-VL's), with patches of 14 pixels and no resizing of our pictures.
"""

import json
from pathlib import Path

from PIL import Image
from transformers import PreTrainedTokenizerFast, Qwen2VLImageProcessorPil

from recipe.zppo.picture_world.drawing import COLOURS, SIZE
from recipe.zppo.prompts import Messages
from recipe.zppo.world.tokenizer import END, PAD, ROLES, START, UNK, word_level

VISION_START, VISION_END, IMAGE, VIDEO = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"
LARGEST_NUMBER = 31
PATCH, MERGE = 14, 2
TOKENS_PER_PICTURE = (SIZE // PATCH // MERGE) ** 2

_QUESTION_WORDS = (
    *("How", "many", "tall", "squares", "sides", "are", "is", "has", "have", "the", "or", "and", "together"),
    *("bar", "bars", "figure", "figures", "Describe", "picture", "?"),
)
_SIGNS = ("=", " ", r"\boxed{", "}", ",", ".")
_WORD = r"\\boxed\{|\d+|[A-Za-z]+|(?<=\d) (?=[a-z]+=)|\S"

_ITEM = r"""{%- if item.type == 'image' -%}
{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- elif item.type == 'text' -%}
{{- item.text -}}
{%- else -%}
{{- raise_exception('this world has no content of type ' + item.type) -}}
{%- endif -%}"""


def build_tokenizer(max_length: int = 1024) -> PreTrainedTokenizerFast:
    """The tokenizer; `len()` of it is the models' vocabulary size."""
    special = [PAD, UNK, START, END, VISION_START, VISION_END, IMAGE, VIDEO]
    words = [*ROLES, *map(str, range(LARGEST_NUMBER + 1)), *COLOURS, *_QUESTION_WORDS, *_SIGNS]
    return word_level(special, words, _WORD, item=_ITEM, max_length=max_length)


def build_image_processor() -> Qwen2VLImageProcessorPil:
    return Qwen2VLImageProcessorPil(
        patch_size=PATCH,
        merge_size=MERGE,
        temporal_patch_size=2,
        size={"shortest_edge": 56 * 56, "longest_edge": 4 * SIZE * SIZE},
        image_mean=[1.0, 1.0, 1.0],  # the background is then zero
        image_std=[0.5, 0.5, 0.5],
    )


def save_processor(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Files that `AutoTokenizer`, `AutoImageProcessor` and, with torchvision installed, `AutoProcessor` load."""
    tokenizer.save_pretrained(folder)
    build_image_processor().save_pretrained(folder)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings.pop("image_processor_type", None)
    settings["processor_class"] = "Qwen3VLProcessor"
    image, video = {"image_processor_type": "Qwen2VLImageProcessor"}, {"video_processor_type": "Qwen3VLVideoProcessor"}
    for name, kind in (("preprocessor_config", image), ("video_preprocessor_config", video)):
        (folder / f"{name}.json").write_text(json.dumps(settings | kind, indent=2, sort_keys=True) + "\n")


def prompt_ids(tokenizer: PreTrainedTokenizerFast, messages: Messages) -> list[int]:
    """Token ids of a prompt as a rollout server sees it, a picture's placeholder repeated for each of its tokens."""
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return tokenizer.encode(text.replace(IMAGE, IMAGE * TOKENS_PER_PICTURE), add_special_tokens=False)


def pictures(messages: Messages) -> list[Image.Image]:
    """The pictures of a conversation, in order."""
    contents = [message["content"] for message in messages if not isinstance(message["content"], str)]
    return [item["image"] for content in contents for item in content if item["type"] == "image"]
