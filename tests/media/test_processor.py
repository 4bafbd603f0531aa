"""The processor without torchvision: that the patch is needed, and that its frames are those of the image processor."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from transformers.utils import is_torchvision_available
from verl.utils import hf_processor

from recipe.cpu.video_processor import Qwen2VLVideoProcessorTorch, load_video_processor
from tests.media.pictures import picture

without_torchvision = pytest.mark.skipif(is_torchvision_available(), reason="transformers' own video processors work")


@without_torchvision
def test_the_patch_is_still_needed(qwen3_5_path):
    """verl takes a vision model for one of text; if this fails, `videos_without_torchvision` can go."""
    code = f"from verl.utils import hf_processor; print(hf_processor({str(qwen3_5_path)!r}))"
    env = {name: value for name, value in os.environ.items() if name != "VERL_PLATFORM"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1] == "None", done.stderr[-2000:]
    assert "Failed to create processor" in done.stderr


@without_torchvision
def test_with_the_patch_the_whole_processor_is_there(qwen3_5_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        processor = hf_processor(str(qwen3_5_path))
    assert type(processor).__name__ == "Qwen3VLProcessor"
    assert processor.video_processor.patch_size == 8
    assert callable(processor.get_rope_index)


@without_torchvision
def test_frames_are_patched_as_images_are(qwen3_5_path):
    """A video of one picture twice is that picture: image and video processor agree on it, resizing included."""
    processor = hf_processor(str(qwen3_5_path))
    for size in ((32, 48), (40, 50), (96, 80)):
        image = picture(3, size)
        frame = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        limits = {"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
        still = processor.image_processor(images=[image], size=limits, return_tensors="pt")
        doubled = {name: 2 * value for name, value in limits.items()}  # a video's limits count all frames
        metadata = [{"fps": 2.0, "frames_indices": [0, 1], "total_num_frames": 2}]
        video = processor.video_processor(
            videos=[torch.stack([frame, frame])],
            video_metadata=metadata,
            do_sample_frames=False,
            size=doubled,
            return_tensors="pt",
        )
        assert video["video_grid_thw"].tolist() == still["image_grid_thw"].tolist()
        # Resized by torch and by PIL, in steps of 1/255 of the range from -1 to 1.
        assert (video["pixel_values_videos"] - still["pixel_values"]).abs().max() <= 3 * 2 / 255


def test_other_frames_than_rgb_are_refused(qwen3_5_path):
    processor = load_video_processor(str(qwen3_5_path))
    with pytest.raises(ValueError, match=r"1 channel\(s\)"):
        processor(videos=[torch.zeros(2, 1, 32, 32, dtype=torch.uint8)], do_sample_frames=False)


def test_families_that_we_have_nothing_for_are_left_to_transformers(tmp_path):
    from transformers import Qwen3Config

    Qwen3Config(num_hidden_layers=1).save_pretrained(tmp_path)
    assert load_video_processor(str(tmp_path)) is None


def test_qwen2_vl_has_images_and_says_so_of_videos():
    with pytest.raises(ValueError, match="need torchvision; images do not"):
        Qwen2VLVideoProcessorTorch()([torch.zeros(2, 3, 28, 28)])
