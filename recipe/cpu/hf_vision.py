"""Images and videos of a prompt: the processor's features, and as many placeholders as they have."""

from collections.abc import Sequence
from typing import Any

import torch

IMAGE, VIDEO = "image", "video"


class Vision:
    """Of a model with ``processor``, or of one that takes text only (None).

    Attributes:
        token_ids: the placeholder of each kind.
    """

    def __init__(self, processor: Any):
        self.processor: Any = processor if hasattr(processor, "image_processor") else None
        self.token_ids: dict[str, int | None] = {
            kind: getattr(self.processor, f"{kind}_token_id", None) for kind in (IMAGE, VIDEO) if self.processor
        }

    def add(
        self, kind: str, prompt_ids: list[int], data: Sequence[Any] | None, kwargs: dict, features: dict
    ) -> list[int]:
        """Run the processor on `data`, put its output in `features` and expand the placeholders of `prompt_ids`.

        A run of equal placeholders stands for one image or video, however long it is: agent loops send them
        expanded by the tokenizing process, callers that build a prompt by hand send one each.

        Raises:
            ValueError: placeholders that do not match the images and videos.
        """
        token = self.token_ids.get(kind)
        runs = _runs(prompt_ids, token)
        if not data:
            if runs:
                raise ValueError(f"the prompt has {kind} placeholders, but no {kind} came with it")
            return prompt_ids
        if token is None:
            raise ValueError(f"the request carries {kind} data, but the model takes no {kind}s")
        if kind == IMAGE:
            if len(runs) != len(data):
                raise ValueError(f"the prompt has placeholders for {len(runs)} images, but {len(data)} came with it")
            output = self.processor.image_processor(images=list(data), return_tensors="pt", **kwargs)
        else:
            output = self._process_videos(data, kwargs)
        features.update({name: value for name, value in output.items() if isinstance(value, torch.Tensor)})
        grid = features[f"{kind}_grid_thw"]
        merge = getattr(self.processor, f"{kind}_processor").merge_size ** 2
        counts = (grid.prod(-1) // merge).tolist()
        if kind == VIDEO:
            return _check_videos(prompt_ids, runs, counts)
        expanded, at = [], 0
        for (start, end), count in zip(runs, counts, strict=True):
            expanded += prompt_ids[at:start] + [token] * count
            at = end
        return expanded + prompt_ids[at:]

    def _process_videos(self, data: Sequence[Any], kwargs: dict) -> dict[str, Any]:
        processor = getattr(self.processor, "video_processor", None)
        if processor is None:
            raise ValueError("the request carries video data, but this environment has no video processor")
        # verl hands over (frames, metadata) pairs; frames were sampled when the prompt was built.
        frames = [video[0] if isinstance(video, tuple | list) else video for video in data]
        metadata = [video[1] if isinstance(video, tuple | list) else None for video in data]
        if all(item is not None for item in metadata):
            kwargs = {"video_metadata": metadata, **kwargs}
        return processor(videos=frames, return_tensors="pt", **{"do_sample_frames": False, **kwargs})


def _runs(token_ids: list[int], token: int | None) -> list[tuple[int, int]]:
    """Half-open spans of consecutive `token`."""
    spans: list[tuple[int, int]] = []
    if token is None:
        return spans
    for at, value in enumerate(token_ids):
        if value != token:
            continue
        if spans and spans[-1][1] == at:
            spans[-1] = (spans[-1][0], at + 1)
        else:
            spans.append((at, at + 1))
    return spans


def _check_videos(prompt_ids: list[int], runs: list[tuple[int, int]], counts: list[int]) -> list[int]:
    """Videos must come expanded: how a model family interleaves frames and time stamps is its processor's affair."""
    have, need = sum(end - start for start, end in runs), sum(counts)
    if have != need:
        raise ValueError(f"the prompt has {have} video placeholder tokens, the videos need {need}")
    return prompt_ids
