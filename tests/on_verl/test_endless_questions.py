"""New questions come epoch after epoch, in the same order whenever a run was interrupted."""

from itertools import islice

import pytest
from omegaconf import OmegaConf
from torchdata.stateful_dataloader import StatefulDataLoader
from verl.trainer.ppo.utils import create_rl_sampler

from recipe.zppo.errors import DataError
from recipe.zppo.on_verl.questions import QuestionSource

ROWS = [f"q{number}" for number in range(8)]


def loader(shuffle: bool) -> StatefulDataLoader:
    data = OmegaConf.create({"shuffle": shuffle, "seed": 1, "sampler": None})
    return StatefulDataLoader(ROWS, batch_size=2, sampler=create_rl_sampler(data, ROWS), drop_last=True)


class Rows(list):
    """As much of a data set as is asked of it here."""

    prompt_ids, data_files = ROWS, ("train",)


def source(batches) -> QuestionSource:
    return QuestionSource(Rows(ROWS), batches)


def batches(questions: QuestionSource, count: int) -> list:
    return [str(batch) for batch in islice(questions._batches, count)]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("stopped", [3, 4, 5, 8])  # an epoch has 4 batches
def test_a_restored_loader_goes_on(shuffle, stopped):
    whole = batches(source(loader(shuffle)), 12)
    first = loader(shuffle)
    before = batches(source(first), stopped)
    second = loader(shuffle)
    second.load_state_dict(first.state_dict())
    assert before + batches(source(second), 12 - stopped) == whole


def test_a_loader_without_batches_is_refused():
    with pytest.raises(DataError, match="the data loader is empty"):
        batches(source([]), 1)
