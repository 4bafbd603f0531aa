"""Freed memory goes back to the system, in the backward passes of large models too."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recipe.cpu import heap

SCRIPT = """
from pathlib import Path
import torch
from recipe.cpu import heap

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

blocks = [torch.ones(2**14) for _ in range(4000)]  # 64 KiB each
kept = blocks[::100]
before = resident()
del blocks
heap.give_back()
print(before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_gaps_between_blocks_are_given_back() -> None:
    out = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert out.returncode == 0, out.stderr
    assert int(out.stdout) > 200  # MiB, of 250


def test_elsewhere_nothing_happens(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("ctypes.CDLL", lambda _: pytest.fail("asked for a library"))
    heap.give_back()


@pytest.mark.parametrize(("width", "times"), [(8, 0), (1024, 2)])
def test_a_large_model_s_backward_pass_does_it_between(monkeypatch, width, times) -> None:
    model = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(4)))  # 4 MiB each where it is large
    given = []
    monkeypatch.setattr(heap, "give_back", lambda: given.append(1))
    heap.give_back_in_backward(model)
    for number in (1, 2):
        model(torch.ones(1, width)).sum().backward()
        assert len(given) == number * times
