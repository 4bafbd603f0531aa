"""What is wrong with a saved state is one line that says what to do."""

from functools import partial

import pytest
import torch

from recipe.zppo.errors import CheckpointError
from recipe.zppo.run.saved_state import read_state

IDENTITY = {"zppo.optimizer": "fp32", "zppo.reformulation.ncq": True}
STATE = {"format": 1, "seed": 7, "identity": IDENTITY, "step": 3}


@pytest.fixture
def file(tmp_path):
    torch.save(STATE, tmp_path / "state.pt")
    return tmp_path / "state.pt"


def read(file, version=1, *, parts=("step",), seed=7, **changed):
    identity = IDENTITY | changed
    return read_state(str(file), version, parts=parts, seed=seed, identity=identity, optimizer="fp32", named=False)


def test_a_state_of_this_run_is_as_it_was_saved(file):
    assert read(file) == STATE


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        (partial(read, version=2), "{file} has format 1, this version reads 2; start afresh"),
        (partial(read, parts=("step", "weights", "buffer")), "{file} is damaged: it has no weights, buffer; start"),
        (partial(read, seed=8), "zppo.seed: {file} was written with 7, now it is 8"),
        (partial(read, **{"zppo.reformulation.ncq": False}), "zppo.reformulation.ncq: {file} was written with True"),
    ],
)
def test_a_state_of_another_run_is_refused(file, reading, message):
    with pytest.raises(CheckpointError) as refusal:
        reading(file)
    assert str(refusal.value).startswith(message.format(file=file))
    assert str(refusal.value).endswith("trainer.resume_mode=disable") and "\n" not in str(refusal.value)


def test_a_damaged_state_is_named(file):
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=rf"^{file} can't be read: .*; start afresh") as refusal:
        read(file)
    assert "\n" not in str(refusal.value)
