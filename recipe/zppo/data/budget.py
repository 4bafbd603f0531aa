"""How long a prompt is for the student: with image tokens and closer, counted by its own processor."""

import functools
import re
from collections.abc import Sequence
from typing import Any

from PIL import Image

from recipe.zppo import prompts
from recipe.zppo.data.errors import BuildError
from recipe.zppo.media import parts as media
from recipe.zppo.preflight.hub import offline, why_not_on_hub
from recipe.zppo.preflight.model_files import model_folder
from recipe.zppo.preflight.models import HUB_ID


class PromptCounter:
    """Counts tokens as the run will. `path` is a model folder or hub id with a processor, or a tokenizer for text."""

    def __init__(self, path: str):
        self._processor = _processor(path)
        self._tokenizer = getattr(self._processor, "tokenizer", self._processor)
        self._reads_images = hasattr(self._processor, "image_processor")
        self._closer = len(self._tokens(prompts.SEPARATOR + prompts.closer()))
        special = sorted(self._tokenizer.all_special_tokens)
        self._special = re.compile("|".join(map(re.escape, special)) or r"(?!)")

    def has_special_tokens(self, text: str) -> bool:
        """Whether the text has tokens that are markup for the model, such as another image's place."""
        return bool(self._special.search(text))

    def count(self, question: str, images: Sequence[Image.Image]) -> int:
        """Tokens of the question with `<image>` placeholders, its closer and the generation prompt.

        The larger of two counts: of the finished prompt, and of the parts, which is what the data set's filter adds up.

        Raises:
            BuildError: there are images and the processor is for text only.
            ValueError: the processor refuses the picture, or there are not as many as placeholders.
        """
        if images and not self._reads_images:
            raise BuildError("processor: it has no image processor, but the rows have pictures; give the student's own")
        bare = [{"role": "user", "content": question}]
        if images:
            bare = media.place(bare, images, [])
        text = self._template(prompts.with_closer(bare))
        if images:
            total = len(self._processor(text=[text], images=list(images))["input_ids"][0])
        else:
            total = len(self._tokens(text))
        by_parts = len(self._tokens(self._template(bare))) + self._closer - len(self._tokens(text))
        return total + max(by_parts, 0)

    def _template(self, messages: list) -> str:
        return self._processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)

    def _tokens(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]


counter = functools.lru_cache(maxsize=1)(PromptCounter)
"""One a process."""


def _processor(path: str) -> Any:
    from transformers import AutoProcessor
    from transformers.models.auto import video_processing_auto

    from recipe.cpu.verl_patches import videos_without_torchvision

    videos_without_torchvision(video_processing_auto)  # does nothing where torchvision is
    remedy = "can't be loaded; give the folder of the student's model, or processor=null for no check of the length"
    if HUB_ID.fullmatch(path) and model_folder(path) is None and not offline() and (why := why_not_on_hub(path)):
        raise BuildError(f"processor={path}: {remedy} ({why})")
    try:
        return AutoProcessor.from_pretrained(path)
    except Exception as error:  # transformers raises whatever its parts raise
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        raise BuildError(f"processor={path}: {remedy} ({type(error).__name__}: {first[:200]})") from error
