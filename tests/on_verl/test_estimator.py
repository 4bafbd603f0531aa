"""The estimator as verl finds and calls it."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.config import AlgoConfig
from verl.trainer.ppo.ray_trainer import compute_advantage

import recipe.zppo.on_verl.estimator  # registers the estimator
from recipe.zppo.advantage import two_step_advantage


def batch():
    """Two groups of two, one of them trivial, two padding rows, and a real rollout with an empty mask."""
    rewards = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0])
    uids = np.array(["a", "a", "b", "b", "pad9", "pad9", "a"], dtype=object)
    mask = torch.tensor([[1, 1, 1], [1, 0, 1], [1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    token_rewards = torch.zeros(7, 3)
    token_rewards[:, 1] = rewards
    data = DataProto.from_dict({"token_level_rewards": token_rewards, "response_mask": mask}, {"uid": uids})
    return data, rewards, uids, mask


@pytest.mark.parametrize("norm", [None, "without_zero", "with_zero", "none"])
@pytest.mark.parametrize("as_struct", [True, False])
def test_verl_gets_the_two_step_advantage_of_the_real_rows_on_their_response_tokens(norm, as_struct):
    data, rewards, uids, mask = batch()
    options = {} if norm is None else {"zppo_advantage_norm": norm, "zppo_advantage_eps": 0.5}
    config = OmegaConf.create({"adv_estimator": "zppo", **options})
    OmegaConf.set_struct(config, as_struct)

    result = compute_advantage(data, adv_estimator="zppo", config=config).batch

    scalars = two_step_advantage(rewards, uids, norm or "without_zero", 1e-6 if norm is None else 0.5, uids == "pad9")
    assert scalars[[4, 5]].tolist() == [0.0, 0.0] and scalars[0] > 0 > scalars[1]
    assert torch.equal(result["advantages"], scalars[:, None] * mask)
    assert torch.equal(result["returns"], result["advantages"])


def test_verls_typed_config_without_our_keys_gives_the_defaults():
    data, rewards, uids, mask = batch()
    result = compute_advantage(data, adv_estimator="zppo", config=AlgoConfig()).batch
    assert torch.equal(
        result["advantages"], two_step_advantage(rewards, uids, padding_mask=uids == "pad9")[:, None] * mask
    )


def test_statistics_by_mini_batch_follow_the_order_of_the_rows():
    """Two ranks of two rows in each of two mini-batches: rows 0, 1, 4, 5 are the first."""
    rewards = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    uids, mask = np.array(list("aaabbbba"), dtype=object), torch.ones(8, 1)
    data = DataProto.from_dict({"token_level_rewards": rewards[:, None], "response_mask": mask}, {"uid": uids})
    config = OmegaConf.create({"zppo_mini_batches": 2, "zppo_mini_batch_rows": 2})
    result = compute_advantage(data, adv_estimator="zppo", config=config).batch["advantages"][:, 0]
    parts = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    assert torch.equal(result, two_step_advantage(rewards, uids, mini_batches=parts))
    assert not torch.equal(result, two_step_advantage(rewards, uids))


def test_a_real_group_whose_uid_looks_like_padding_counts():
    mask = torch.tensor([[1], [1], [0]])
    rows = recipe.zppo.on_verl.estimator.padding_rows(np.array(["pad1", "x", "pad2"]), mask)
    assert rows.tolist() == [False, False, True]


def test_the_callers_mask_stays_as_it_is_whatever_its_type():
    for dtype in (torch.int64, torch.float32, torch.bool):
        mask = torch.tensor([[1, 1], [1, 0]]).to(dtype)
        compute = recipe.zppo.on_verl.estimator.compute_zppo_advantage
        advantages, _ = compute(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), mask, np.array(["a", "a"]))
        assert mask.tolist() == torch.tensor([[1, 1], [1, 0]]).to(dtype).tolist()
        assert advantages.dtype == torch.float32 and (advantages[0] > 0).all() and advantages[1, 1] == 0
