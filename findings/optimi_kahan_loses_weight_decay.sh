#!/usr/bin/env bash
# optimi's AdamW on bf16 weights never decays them at usual settings, Kahan summation or not.
#
# Versions: torch-optimi 0.3.3, torch 2.13.0 (CPU).
# Behaviour: with kahan_sum=True the update goes through the compensation buffer, so that steps far below a bf16 weight's
#   resolution add up. One would expect the same of decoupled weight decay, which is part of AdamW's step. It is not: the
#   weight itself is multiplied by 1 - lr x weight_decay, and below about 0.2% that rounds back to the weight, every time.
#   At lr 1e-3 and weight decay 0.1, 1,000 updates with zero gradients shrink fp32 weights by 9.5% and bf16 weights by
#   nothing.
# Seen:
#   lr 0.001: fp32 -9.5%, bf16 with Kahan summation +0.0%
#   lr 0.01: fp32 -63.2%, bf16 with Kahan summation +0.0%
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch-optimi==0.3.3 torch==2.13.0 numpy==2.2.6 packaging==25.0
cat > "$work/run.py" <<'PY'
import torch
from optimi import AdamW

start = (0.02 * torch.randn(4096, generator=torch.Generator().manual_seed(0))).bfloat16()


def shrunk(dtype, lr):
    weight = torch.nn.Parameter(start.to(dtype, copy=True))
    optimizer = AdamW([weight], lr=lr, weight_decay=0.1, eps=1e-8, kahan_sum=dtype == torch.bfloat16)
    for _ in range(1000):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    return (weight.detach().float().norm() / start.float().norm() - 1).item()


for lr, kept in ((1e-3, -0.095), (1e-2, -0.632)):
    fp32, bf16 = shrunk(torch.float32, lr), shrunk(torch.bfloat16, lr)
    print(f"lr {lr}: fp32 {fp32:+.1%}, bf16 with Kahan summation {bf16:+.1%}")
    assert abs(fp32 - kept) < 0.002 and bf16 == 0.0
PY
"$work/venv/bin/python" "$work/run.py"
