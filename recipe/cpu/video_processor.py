"""Video processors of the Qwen-VL families where there is no torchvision, whose PyPI wheel needs a CUDA torch.

transformers has image processors on PIL alone, but video processors on torchvision alone, and refuses to build a
vision model's processor without one. All that they ask of torchvision is resizing, normalising and making frames RGB.
"""

from typing import Any

import torch
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
from transformers.video_processing_utils import BaseVideoProcessor


class TorchFrames:
    """What torchvision does for a video processor, by torch; frames are (..., C, H, W), in 0..255 until rescaled."""

    def resize(self, image: torch.Tensor, size: Any, resample: Any = None, **_: Any) -> torch.Tensor:
        """Bicubic with antialiasing, as torchvision does for these families."""
        return torch.nn.functional.interpolate(image, (size.height, size.width), mode="bicubic", antialias=True)

    def convert_to_rgb(self, video: torch.Tensor) -> torch.Tensor:
        if video.shape[-3] != 3:
            raise ValueError(f"video frames have {video.shape[-3]} channel(s); convert them to RGB")
        return video

    def normalize(self, image: torch.Tensor, mean: Any, std: Any, **_: Any) -> torch.Tensor:
        mean, std = (torch.as_tensor(value, dtype=image.dtype).view(-1, 1, 1) for value in (mean, std))
        return (image - mean) / std

    def to_dict(self) -> dict[str, Any]:
        """Saved under the name of transformers' class, which is what another machine will look for."""
        return super().to_dict() | {"video_processor_type": type(self).__name__.removesuffix("Torch")}


class Qwen3VLVideoProcessorTorch(TorchFrames, Qwen3VLVideoProcessor):
    """Of Qwen3-VL and Qwen3.5."""


class Qwen2VLVideoProcessorTorch(TorchFrames, BaseVideoProcessor):
    """Stands in for that of Qwen2-VL and Qwen2.5-VL, whose module needs torchvision: images only."""

    def __call__(self, videos: Any, **_: Any) -> Any:
        raise ValueError("videos of Qwen2-VL and Qwen2.5-VL need torchvision; images do not")


_FAMILIES = {
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl"), Qwen2VLVideoProcessorTorch),
    **dict.fromkeys(("qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe"), Qwen3VLVideoProcessorTorch),
}


def load_video_processor(path: str, **kwargs: Any) -> BaseVideoProcessor | None:
    """The video processor of the model in ``path``; None for a family that is not of ours."""
    from transformers import AutoConfig

    known = {name: kwargs[name] for name in ("trust_remote_code", "revision") if name in kwargs}
    found = _FAMILIES.get(AutoConfig.from_pretrained(path, **known).model_type)
    if found is None:
        return None
    kwargs = {name: value for name, value in kwargs.items() if name not in ("trust_remote_code", "_from_auto")}
    return found.from_pretrained(path, **kwargs)
