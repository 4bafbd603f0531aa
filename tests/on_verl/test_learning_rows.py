"""Updates without the rows that have no advantage: what is computed, and that the gradient is the same."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transfer_queue import KVBatchMeta

from recipe.zppo.on_verl.learning_rows import choose, is_exact, row_sums
from recipe.zppo.on_verl.mini_batches import padded_size, put_in_order
from tests import warm
from tests.composed import compose
from tests.tiny_models import make_qwen3, make_tokenizer

ACTOR = "actor_rollout_ref.actor"


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=9), min_size=1, max_size=4), st.integers(1, 4))
def test_each_update_gets_its_rows_with_an_advantage_and_the_shortest_others(moves, num_ranks):
    """``moves``: of each mini-batch, whether a row has an advantage."""
    parts = [[f"{number}.plain_{row}_0" for row in range(len(part))] for number, part in enumerate(moves)]
    moving = {key for part, has in zip(parts, moves, strict=True) for key, move in zip(part, has, strict=True) if move}
    keys = [key for part in parts for key in part]
    keys += [f"pad_{row}_0" for row in range(padded_size(parts, num_ranks) - len(keys))]
    tags = [{"seq_len": 300 + number} if key[0] != "p" else {"seq_len": 128} for number, key in enumerate(keys)]
    batch = KVBatchMeta(partition_id="train", keys=keys, tags=tags)
    put_in_order(batch, parts, num_ranks)
    before = list(batch.keys)

    chosen, kept = choose(batch, parts, moving, num_ranks)
    assert batch.keys == before
    assert kept == [[key for key in part if key in moving] for part in parts]
    assert moving <= set(chosen) and len(chosen) == len(set(chosen)) <= len(keys)
    assert len(chosen) == len(parts) * num_ranks * max(1, -(-max(map(len, kept)) // num_ranks))
    length = dict(zip(batch.keys, (tag["seq_len"] for tag in batch.tags), strict=True))
    others = sorted(length[key] for key in keys if key not in moving)
    assert sorted(length[key] for key in chosen if key not in moving) == others[: len(chosen) - len(moving)]

    rows = batch.select_keys(chosen)
    put_in_order(rows, kept, num_ranks)
    size = len(rows) // (num_ranks * len(parts))
    cut = [rows.keys[at : at + size] for at in range(0, len(rows), size)]
    for update, part in enumerate(kept):
        seen = {key for rank in range(num_ranks) for key in cut[rank * len(parts) + update]}
        assert seen & moving == set(part)


def test_what_rows_have_is_counted_in_both_layouts():
    rows = torch.tensor([[0.0, 1.0, -2.0], [0.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
    nested = torch.nested.as_nested_tensor([rows[0], rows[1, :1], rows[2, :2]], layout=torch.jagged)
    assert row_sums(nested != 0) == row_sums(rows != 0) == [2, 0, 1]


@pytest.mark.parametrize(
    "changed",
    [
        [],
        [f"{ACTOR}.use_kl_loss=true"],
        [f"{ACTOR}.entropy_coeff=0.001"],
        [f"{ACTOR}.loss_agg_mode=seq-mean-token-mean"],
        [f"{ACTOR}.policy_loss.loss_mode=gspo"],
        [f"{ACTOR}.policy_loss.loss_mode=clip_cov"],
        [f"{ACTOR}.calculate_entropy=true"],
        [f"{ACTOR}.strategy=megatron"],
    ],
)
def test_only_where_the_loss_has_no_other_use_for_them(changed):
    assert is_exact(compose(("platform=cpu", *changed)).actor_rollout_ref.actor) == (not changed)


def test_the_gradient_is_that_of_all_rows(tmp_path):
    """Two updates on two ranks of verl's FSDP2 engine, one without any advantage."""
    tokenizer = make_tokenizer()
    make_qwen3(len(tokenizer), num_hidden_layers=2).save_pretrained(tmp_path / "student")
    tokenizer.save_pretrained(tmp_path / "student")
    script = str(Path(__file__).with_name("learning_rows_ranks.py"))
    done = warm.run(script, tmp_path, folder=tmp_path, timeout=240, VERL_PLATFORM="cpu")
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(2):
        seen = torch.load(tmp_path / f"seen_{rank}.pt")
        assert seen["all"]["rows"] > seen["learning"]["rows"]
        for update in (0, 1):
            every, learning = (seen[name]["updates"][update] for name in ("all", "learning"))
            assert (every["norm"] > 0) == (update == 0)
            assert learning["norm"] == pytest.approx(every["norm"], rel=1e-5)
            assert learning["loss"] == pytest.approx(every["loss"], rel=1e-4, abs=1e-7)
            for name, gradient in every["gradients"].items():
                torch.testing.assert_close(learning["gradients"][name], gradient, rtol=1e-4, atol=1e-7)
