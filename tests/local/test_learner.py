"""The update against a slow reference: each sequence alone, all of them computed, AdamW written by torch."""

import copy

import numpy as np
import pytest
import torch

from recipe.zppo.local.learner import Learner
from recipe.zppo.local.packed_groups import Trajectory
from tests.composed import compose
from tests.tiny_models import make_qwen3

VOCABULARY = 50
CLIP = 0.2


@pytest.fixture
def learner(qwen3_path) -> Learner:
    config = compose(("platform=cpu", "method=grpo", f"actor_rollout_ref.model.path={qwen3_path}"))
    config.actor_rollout_ref.actor.optim.lr = 1e-2
    config.actor_rollout_ref.actor.clip_ratio_high = config.actor_rollout_ref.actor.clip_ratio_low = CLIP
    torch.manual_seed(0)
    shape = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_key_value_heads=2, head_dim=8)
    return Learner(make_qwen3(VOCABULARY, initializer_range=0.2, **shape), config, pad_token_id=0)


def batch_of(groups: int) -> list[Trajectory]:
    generator = torch.Generator().manual_seed(1)
    draw = lambda size: torch.randint(1, VOCABULARY, (size,), generator=generator).tolist()  # noqa: E731
    batch = []
    for _ in range(groups):
        prompt = draw(6)
        for length in (3, 5, 4):
            batch.append(Trajectory(prompt, draw(length), 0, [-4.0] * length, entropy=3.0 * length))
    return batch


def reference(learner: Learner, batch, advantages, parts) -> list[torch.Tensor]:
    """The weights after the updates, and of each the loss."""
    model, optim = copy.deepcopy(learner.model), learner.actor.optim
    optimizer = torch.optim.AdamW(model.parameters(), optim.lr, tuple(optim.betas), weight_decay=optim.weight_decay)
    losses = []
    for part in parts:
        loss, tokens = torch.zeros(()), sum(len(batch[i].response_ids) for i in part)
        for i in part:
            row, first = batch[i], len(batch[i].prompt_ids)
            logits = model(torch.tensor([row.prompt_ids + row.response_ids])).logits[0, first - 1 : -1]
            targets = torch.tensor(row.response_ids)
            log_probs = torch.log_softmax(logits / learner.temperature, -1)[range(len(targets)), targets]
            ratio = (log_probs - torch.tensor(row.log_probs)).exp()
            clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
            loss = loss - torch.minimum(ratio * advantages[i], clipped * advantages[i]).sum() / tokens
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), optim.clip_grad)
        optimizer.step()
        losses.append(loss.item())
    return [float(np.mean(losses)), *model.parameters()]


@pytest.mark.parametrize(
    "advantages",
    [
        [1.0, -0.5, 0.25, 0.5, 0.5, -1.0],
        [1.0, 0.0, -1.0, 0.0, 0.0, 0.0],  # sequences without an advantage, and a mini-batch of nothing else
        [0.0] * 6,
    ],
)
def test_weights_are_the_reference_s(learner, advantages) -> None:
    batch, advantages = batch_of(2), np.array(advantages)
    parts = [[0, 1, 2], [3, 4, 5], [2, 3], []]
    loss, *wanted = reference(learner, batch, advantages, parts[:3])
    metrics = learner.policy_update(batch, advantages, parts)
    for ours, theirs in zip(learner.model.parameters(), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert metrics["actor/pg_loss"] == pytest.approx(loss, abs=1e-5)
    assert metrics["actor/entropy"] == pytest.approx(3.0)
    assert ("actor/ppo_kl" in metrics) == any(advantages)


def test_sequences_without_an_advantage_are_not_computed(learner, monkeypatch) -> None:
    batch, computed = batch_of(2), []
    forward = learner.model.base_model.forward
    monkeypatch.setattr(
        learner.model.base_model, "forward", lambda **kw: (computed.append(kw["input_ids"].numel()), forward(**kw))[1]
    )
    learner.policy_update(batch, np.array([1.0, 0, 0, 0, 0, 0]), [[0, 1, 2], [3, 4, 5]])
    assert computed == [6 + 3]


def test_rows_without_an_advantage_can_be_computed(learner) -> None:
    """`zppo.skip_zero_advantages=false`: the same weights, and metrics of all tokens."""
    learner.computes_all = True
    batch, advantages = batch_of(2), np.array([1.0, 0.0, -1.0, 0.0, 0.0, 0.0])
    parts = [[0, 1, 2], [3, 4, 5]]
    _, *wanted = reference(learner, batch, advantages, parts)
    metrics = learner.policy_update(batch, advantages, parts)
    for ours, theirs in zip(learner.model.parameters(), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert metrics["actor/ppo_kl"] != 0
