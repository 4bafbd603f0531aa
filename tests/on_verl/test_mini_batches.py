"""What verl's ranks cut from a batch in our order, as `train_mini_batch` cuts it, are our mini-batches."""

import random

import torch
from hypothesis import given
from hypothesis import strategies as st
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.utils import tensordict_utils as tu

from recipe.zppo.mini_batches import mini_batches
from recipe.zppo.on_verl.mini_batches import padded_size, put_in_order, uid_of

GROUPS = st.lists(st.integers(2, 8), min_size=5, max_size=20)


@given(GROUPS, st.integers(1, 4), st.integers(1, 4), st.sampled_from(["rollouts", "groups"]), st.randoms())
def test_each_update_gets_its_mini_batch_and_no_other_row_but_padding(sizes, num_ranks, count, unit, rng):
    keys = [f"{n}.00000.plain_{i}_0" for n, size in enumerate(sizes) for i in range(size)]
    uids = [uid_of(key) for key in keys]
    assert uids[0] == "0.00000.plain" and len(set(uids)) == len(sizes)
    parts = [[keys[i] for i in part] for part in mini_batches(uids, count, unit, random.Random(0))]
    size = padded_size(parts, num_ranks)
    assert 0 <= size - len(keys) < num_ranks * count if unit == "rollouts" else size >= len(keys)
    keys += [f"pad_{i}_0" for i in range(size - len(keys))]
    rng.shuffle(keys)
    tags = [{"seq_len": rng.randrange(1, 900)} for _ in keys]
    batch = KVBatchMeta(partition_id="train", keys=keys, tags=tags)
    metrics = put_in_order(batch, parts, num_ranks)
    assert metrics["global_seqlen/balanced_max"] >= metrics["global_seqlen/balanced_min"]

    assert len(batch.keys) == size and size % (num_ranks * count) == 0
    per_rank = size // num_ranks
    seen = [set() for _ in range(count)]
    for rank in range(num_ranks):
        rows = torch.arange(rank * per_rank, (rank + 1) * per_rank)
        data = TensorDict({"row": rows}, batch_size=per_rank)
        options = dict(
            mini_batch_size=per_rank // count, epochs=1, seed=42 + rank, dataloader_kwargs={"shuffle": False}
        )
        for update, part in enumerate(tu.make_iterator(data, **options)):
            seen[update] |= {batch.keys[row] for row in part["row"].tolist()}
    assert [{key for key in part if not key.startswith("pad")} for part in seen] == [set(part) for part in parts]


def test_in_each_update_the_ranks_have_as_much_to_do():
    """Two updates of two long rows and four short ones; a rank that had both long ones would keep the other waiting."""
    keys = [f"{n}_0_0" for n in range(12)]
    tags = [{"seq_len": 900 if n % 6 < 2 else 10} for n in range(12)]
    batch = KVBatchMeta(partition_id="train", keys=keys, tags=tags)
    put_in_order(batch, [keys[:6], keys[6:]], num_ranks=2)
    lengths = [tag["seq_len"] for tag in batch.tags]
    assert [sum(lengths[at : at + 3]) for at in (0, 3, 6, 9)] == [920] * 4
