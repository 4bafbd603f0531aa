#!/usr/bin/env bash
# bitsandbytes' 8-bit optimizers move weights that never had a gradient on the CPU: Lion by its full rate each step.
#
# Versions: bitsandbytes 0.50.2, torch 2.13.0 (CPU, the package's own library for it).
# Behaviour: between steps the moments are kept in 8 bits, relative to the largest in a block of 256 weights. The table
#   of 256 values has an exact 0, as most of an embedding's moments are 0: the rows of tokens that don't come up. One
#   would expect 0 to stay 0. The CPU's quantize_blockwise takes another value, 2e-5 of the block's largest, in both
#   tables. The next step takes that for a gradient of long ago, always of the same sign. Lion takes the sign alone, so
#   that such a weight moves at full rate, step after step, further than those that learn. Adam divides by the root of a
#   second moment that is as small: a twentieth of the others' way. The 32-bit ones leave these weights where they are.
# Seen (an embedding of 64 tokens, every second one never seen; 200 updates, no weight decay; mean movement in learning
#   rates, of weights without gradient and with):
#   0 beside a largest value of 1 is stored as 2.1e-05, in the table without signs as 1.6e-05
#   AdamW: without 0, with 11.4
#   AdamW32bit: without 0, with 11.4
#   AdamW8bit: without -0.535, with 11.3
#   Lion32bit: without 0, with 51.9
#   Lion8bit: without -199, with 51.7
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile bitsandbytes==0.50.2 torch==2.13.0 \
  numpy==2.4.6 packaging==25.0
cat > "$work/run.py" <<'PY'
import torch
from bitsandbytes import functional, optim

stored = []
for signed in (True, False):
    one = torch.zeros(256)
    one[0] = 1
    table = functional.create_dynamic_map(signed=signed)
    assert 0 in table
    stored.append(functional.dequantize_blockwise(*functional.quantize_blockwise(one, code=table, blocksize=256))[1])
print(f"SEEN 0 beside a largest value of 1 is stored as {stored[0]:.1e}, in the table without signs as {stored[1]:.1e}")
assert all(1e-5 < each < 3e-5 for each in stored)


def moved(cls):
    """Mean movement in learning rates: of the rows that never have a gradient, signed, and of the others."""
    embedding, rate = torch.nn.Parameter(torch.zeros(64, 128)), 1e-3
    optimizer = cls([embedding], lr=rate, weight_decay=0.0)
    draws = torch.Generator().manual_seed(0)
    for _ in range(200):
        embedding.grad = torch.randn(embedding.shape, generator=draws)
        embedding.grad[1::2] = 0
        optimizer.step()
    weights = embedding.detach() / rate
    return weights[1::2].mean().item(), weights[::2].abs().mean().item()


for cls, least, most in (
    (torch.optim.AdamW, 0, 0),
    (optim.AdamW32bit, 0, 0),
    (optim.AdamW8bit, -0.8, -0.3),
    (optim.Lion32bit, 0, 0),
    (optim.Lion8bit, -200, -150),
):
    without, with_gradient = moved(cls)
    print(f"SEEN {cls.__name__}: without {without:.3g}, with {with_gradient:.3g}")
    assert least <= without <= most and with_gradient > 5
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { cat log; exit 1; }
sed -n 's/.*SEEN //p' log
