#!/usr/bin/env bash
# qwen-vl-utils gives a video's frames fewer tokens when they come as a list, half at worst, and squeezes them.
#
# Versions: qwen-vl-utils 0.0.14, torch 2.13.0 (CPU), pillow 11.3.0.
# Behaviour: a video is a file or a list of pictures, as in data sets of sampled frames. One would expect the same
#   frames within the same min_pixels and max_pixels to become as many tokens. The frames of a file, and a picture,
#   are resized once, to multiples of twice the patch. A list's are resized before that, to multiples of four times the
#   patch: fetch_video hands the doubled patch to fetch_image, which doubles it again. What is lost there does not come
#   back. Within a small budget a list has fewer tokens, frames of 16:9 become 2:1, and frames of 644 x 476, which need
#   no resizing, are made wider and lower.
# Seen (tokens a pair of frames; sizes are width x height; budgets are min_pixels and max_pixels in tokens):
#   patch 14, 1280x720 in 4 to 16 tokens: a picture 140x84 = 15, a file 140x84 = 15, a list 112x56 = 8
#   patch 16, 1280x720 in 4 to 16 tokens: a picture 160x96 = 15, a file 160x96 = 15, a list 128x64 = 8
#   patch 14, 448x448 in 4 to 32 tokens: a picture 140x140 = 25, a file 140x140 = 25, a list 112x112 = 16
#   patch 16, 448x448 in 4 to 32 tokens: a picture 160x160 = 25, a file 160x160 = 25, a list 128x128 = 16
#   patch 14, 640x480 in 4 to 128 tokens: a picture 364x252 = 117, a file 364x252 = 117, a list 336x224 = 96
#   patch 14, 644x476 in 128 to 768 tokens: a picture 644x476 = 391, a file 644x476 = 391, a list 672x448 = 384
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" torch==2.13.0 numpy==2.2.6 pillow==11.3.0 requests==2.32.5 packaging==25.0
"${pip[@]}" --no-deps qwen-vl-utils==0.0.14  # torchvision and a video decoder are stood in for below
cat > "$work/run.py" <<'PY'
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from PIL import Image


def resize(video, size, interpolation, antialias):
    return torch.nn.functional.interpolate(video.float(), size, mode=interpolation, antialias=antialias)


def read_video(path, **_):
    """The "file" is the frames that a list would have."""
    frames = torch.from_numpy(np.stack([np.array(frame) for frame in FRAMES]))
    return frames.permute(0, 3, 1, 2), None, {"video_fps": 2.0}


torchvision, transforms = ModuleType("torchvision"), ModuleType("torchvision.transforms")
torchvision.__version__, torchvision.transforms = "0.28.0", transforms
torchvision.io = SimpleNamespace(read_video=read_video)
transforms.functional, transforms.InterpolationMode = SimpleNamespace(resize=resize), SimpleNamespace(BICUBIC="bicubic")
sys.modules |= {"torchvision": torchvision, "torchvision.transforms": transforms}
from qwen_vl_utils import fetch_image, fetch_video

for patch, size, least, most, once, twice in (
    (14, (1280, 720), 4, 16, 15, 8),
    (16, (1280, 720), 4, 16, 15, 8),
    (14, (448, 448), 4, 32, 25, 16),
    (16, (448, 448), 4, 32, 25, 16),
    (14, (640, 480), 4, 128, 117, 96),
    (14, (644, 476), 128, 768, 391, 384),
):
    FRAMES = [Image.new("RGB", size)] * 4
    token = (2 * patch) ** 2
    budget = {"min_pixels": least * token, "max_pixels": most * token}
    found = [fetch_image({"image": FRAMES[0]} | budget, image_patch_size=patch).size]
    for video in ("file.mp4", FRAMES):
        frames, _, height, width = fetch_video({"video": video} | budget, image_patch_size=patch).shape
        assert frames == 4
        found.append((width, height))
    tokens = [width * height // token for width, height in found]
    said = [f"{name} {w}x{h} = {n}" for name, (w, h), n in zip(("a picture", "a file", "a list"), found, tokens)]
    print(f"patch {patch}, {size[0]}x{size[1]} in {least} to {most} tokens: {', '.join(said)}")
    assert tokens == [once, once, twice]
PY
"$work/venv/bin/python" -W ignore "$work/run.py" 2>"$work/errors" || { tail -n 20 "$work/errors"; exit 1; }
