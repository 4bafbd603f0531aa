"""The replay buffer, at its size in the paper and at one that no run will have."""

from __future__ import annotations

import gc
import os
import tempfile
from array import array

import torch

from benchmarks.measure import MB, Parts
from benchmarks.paper_step import NUM_REPLAYED, THRESHOLD, PaperStep
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.replay_buffer.packing import pack


def full_state(size: int) -> dict:
    """What a full buffer of ``size`` entries saves, made without admitting them one by one."""
    state = PromptReplayBuffer(size, THRESHOLD, seed=0).state_dict()
    entry_accuracy = array("d", (0.0, 0.125, 0.25, 0.375)) * (size // 4) + array("d", [0.0]) * (size % 4)
    return state | {
        "ids": pack([f"{i:016x}" for i in range(size)]),
        "references": pack(list(range(size))),
        "entry_accuracy": entry_accuracy.tobytes(),
        "entry_step": array("q", range(size)).tobytes(),
        "newer": array("i", [*range(1, size), -1]).tobytes(),
        "visits": {f"{i:016x}": [(1, 0.0), (2, 0.25)] for i in range(min(size // 2, 100_000))},
        "by_accuracy": {
            "admissions": {0.0: size - 3 * (size // 4), 0.125: size // 4, 0.25: size // 4, 0.375: size // 4},
            "graduations": {},
            "evictions": {},
        },
    }


def measure_buffer(parts: Parts, step: PaperStep, size: int, save_freq: int) -> None:
    """Draw, update and checkpoint of a full buffer. The step's new questions that are hard push out as many."""
    label = f"{size:,}"
    state = full_state(size)
    buffer = PromptReplayBuffer(size, THRESHOLD, seed=0)
    with parts.part(f"buffer {label}: restore", times=0, note="once a resume; the memory is the buffer's own"):
        buffer.load_state_dict(state)
    del state
    with parts.part(f"buffer {label}: a full garbage collection", times=0, note="runs now and then, on its own"):
        gc.collect()
    new = [group for group in step.plain if not group.question.replayed]
    with parts.part(f"buffer {label}: draw {NUM_REPLAYED} questions"):
        drawn = buffer.sample(NUM_REPLAYED, exclude={group.question.prompt_id for group in new})
    outcomes = [(group.question.prompt_id, group.accuracy, group.question.row) for group in new]
    outcomes += [(entry.prompt_id, i / len(drawn), entry.reference) for i, entry in enumerate(drawn)]
    with parts.part(f"buffer {label}: update and metrics"):
        report = buffer.update(size + 1, outcomes)
        buffer.metrics()
    assert report.graduated and report.evicted and len(buffer) == size
    often = f"every {save_freq} steps"
    with parts.part(f"buffer {label}: state", times=1 / save_freq, note=often):
        state = buffer.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "zppo.pt")
        with parts.part(f"buffer {label}: torch.save", times=1 / save_freq, note=often) as part:
            torch.save(state, path)
        part.note += f", {os.path.getsize(path) / MB:.1f} MB"
