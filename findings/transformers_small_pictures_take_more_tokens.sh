#!/usr/bin/env bash
# A picture of 320 x 240 costs InternVL more tokens than one of 1000 x 1000, and one of 64 x 64 costs SmolVLM 1,088.
#
# Versions: transformers 5.24.0, pillow 13.0.0, numpy 2.4.6 (CPU, without torch).
# Behaviour: both cut a picture into tiles and add a view of the whole. One would expect tokens to grow with the pixels,
#   as with Qwen3-VL, and a picture that is smaller than a tile to be one. It is the shape that counts.
#   - InternVL takes the grid of up to 12 tiles with the nearest aspect ratio. Pixels only decide between grids of one
#     ratio, such as 1 x 1 and 3 x 3. 4 x 3 is the only grid of 4:3: the usual ratio takes 13 tiles at any size. So does
#     a line of text, of 10:1 or so: 28 pixels high, it is blown up to ten tiles.
#   - SmolVLM makes the longer side 2,048 first. A square of any size has 4 x 4 tiles, stretched from 64 x 64 or so.
#   Smaller pictures are no way to keep within a budget for prompts. What works is max_patches or crop_to_patches=False,
#   and size={"longest_edge": ...}.
# Seen (tokens of a picture, without markers; tiles of InternVL3 and of SmolVLM-256M, patches of Qwen3-VL):
#   64 x 64: InternVL 256, SmolVLM 1088, Qwen3-VL 64
#   448 x 448: InternVL 256, SmolVLM 1088, Qwen3-VL 196
#   1000 x 1000: InternVL 2560, SmolVLM 1088, Qwen3-VL 961
#   320 x 240: InternVL 3328, SmolVLM 832, Qwen3-VL 80
#   280 x 28: InternVL 2816, SmolVLM 320, Qwen3-VL 78
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile transformers==5.24.0 pillow==13.0.0 \
  numpy==2.4.6
cat > "$work/run.py" <<'PY'
from math import prod

from PIL import Image
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

tile = {"height": 448, "width": 448}
internvl = GotOcr2ImageProcessorPil(size=tile, crop_to_patches=True, min_patches=1, max_patches=12)
smolvlm = SmolVLMImageProcessorPil(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512})
qwen = Qwen2VLImageProcessorPil(patch_size=16, size={"shortest_edge": 256 * 256, "longest_edge": 4096 * 4096})
for width, height, expected in (
    (64, 64, (256, 1088, 64)),
    (448, 448, (256, 1088, 196)),
    (1000, 1000, (2560, 1088, 961)),
    (320, 240, (3328, 832, 80)),
    (280, 28, (2816, 320, 78)),
):
    picture = Image.new("RGB", (width, height))
    found = (
        256 * len(internvl(picture, return_tensors="np")["pixel_values"]),
        64 * smolvlm(picture, return_tensors="np")["pixel_values"].shape[1],
        prod(map(int, qwen(picture, return_tensors="np")["image_grid_thw"][0])) // 4,
    )
    print(f"SEEN {width} x {height}: InternVL {found[0]}, SmolVLM {found[1]}, Qwen3-VL {found[2]}", flush=True)
    assert found == expected
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { cat log; exit 1; }
sed -n 's/.*SEEN //p' log
