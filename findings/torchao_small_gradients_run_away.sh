#!/usr/bin/env bash
# torchao's 8-bit and FP8 AdamW move weights with small gradients up to 100 times too far; its 4-bit one hardly at all.
#
# Versions: torchao 0.18.0, torch 2.13.0 (CPU, without compilation).
# Behaviour: Adam's two moments are kept in few bits, relative to the largest in a block of 256 weights (4 bits: 128).
#   One would expect errors of some per cent. But the second moment is a square: where a gradient is a thousandth of the
#   block's largest, as beside a channel of massive activations, it is a millionth. FP8 rounds that to 0 after each
#   step, 8 bits do so from about there on. The first moment is kept. It is then divided by sqrt(1 - beta2) times the
#   gradient of this one step: the weight moves up to 32 times too far, and further with noise. 4 bits have no 0, so
#   that the second moment is never below a sixteenth of the largest, and such a weight stands still.
# Seen:
#   movement in 1,000 updates, relative to torch's AdamW, where the gradient is r times the block's largest, with noise:
#     AdamW8bit: r = 1: 1, r = 0.1: 1, r = 0.01: 1.1, r = 0.001: 17, r = 0.0001: 75
#     AdamWFp8: r = 1: 0.93, r = 0.1: 0.91, r = 0.01: 0.93, r = 0.001: 100, r = 0.0001: 78
#     AdamW4bit: r = 1: 1, r = 0.1: 0.32, r = 0.01: 0.027, r = 0.001: 0.0014, r = 0.0001: 0.001
#   error of a linear layer's weights after 1,000 updates, from 1 on, where one number in 128 rows is 1, or 3,000:
#     AdamW: 0.033, 0.38
#     AdamW8bit: 0.038, 140
#     AdamWFp8: 0.043, 960
#     AdamW4bit: 0.083, 0.76
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torchao==0.18.0 torch==2.13.0 numpy==2.2.6
cat > "$work/run.py" <<'PY'
import torch
from torchao.optim import AdamW4bit, AdamW8bit, AdamWFp8

torch.set_num_threads(1)
SIZES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
GRADIENT = torch.tensor([*SIZES, 1e-2, 1e-2, 1e-2]).repeat(512)


def moved(optimizer_class):
    """How far weights went, by their gradients' size."""
    draw = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(4096))
    optimizer = optimizer_class([weight], lr=1e-5, weight_decay=0.0)
    for _ in range(1000):
        weight.grad = GRADIENT * (1 + torch.randn(4096, generator=draw))
        optimizer.step()
    return -weight.detach().view(512, 8)[:, : len(SIZES)].mean(dim=0)


def error(optimizer_class, largest):
    """What is left to learn of a linear map, where one number in 128 rows of inputs is `largest`."""
    draw = torch.Generator().manual_seed(0)
    true = 0.1 * torch.randn(16, 256, generator=draw)
    weight = torch.nn.Parameter(torch.zeros_like(true))
    rate = torch.tensor(1e-3)
    optimizer = optimizer_class([weight], lr=rate, weight_decay=0.0)
    for step in range(1000):
        rate.fill_(1e-3 * (1 - step / 1000))
        rows = torch.randn(128, 256, generator=draw)
        rows[:, 0] = torch.tensor([largest] + 127 * [0.0])
        optimizer.zero_grad()
        ((rows @ (weight - true).T + 0.1 * torch.randn(128, 16, generator=draw)) ** 2).mean().backward()
        optimizer.step()
    return ((weight - true)[:, 1:].norm() / true[:, 1:].norm()).item()


usual = moved(torch.optim.AdamW)
for optimizer_class, expected in (
    (AdamW8bit, (1.0, 1.0, 1.1, 16, 75)),
    (AdamWFp8, (0.93, 0.92, 0.93, 103, 78)),
    (AdamW4bit, (1.0, 0.32, 0.028, 0.0014, 0.0010)),
):
    found = (moved(optimizer_class) / usual).tolist()
    said = (f"r = {size:g}: {float(f'{way:.2g}'):g}" for size, way in zip(SIZES, found))
    print(f"{optimizer_class.__name__}: {', '.join(said)}")
    assert all(0.8 < way / seen < 1.25 for way, seen in zip(found, expected)), found

for optimizer_class, least, most in (
    (torch.optim.AdamW, 0.3, 0.5),
    (AdamW8bit, 10, float("inf")),
    (AdamWFp8, 10, float("inf")),
    (AdamW4bit, 0.7, 0.8),
):
    small, large = error(optimizer_class, 1.0), error(optimizer_class, 3000.0)
    print(f"{optimizer_class.__name__}: {small:.2g}, {float(f'{large:.2g}'):g}")
    assert small < 0.1 and least < large < most, (small, large)
PY
export TORCHDYNAMO_DISABLE=1
"$work/venv/bin/python" -W ignore "$work/run.py" 2>"$work/errors" || { tail -n 20 "$work/errors"; exit 1; }
