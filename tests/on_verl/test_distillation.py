"""The loss as verl's engine calls it: on packed sequences, micro-batch by micro-batch."""

import pickle
import subprocess
import sys

import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.distillation.losses import get_distillation_loss_settings
from verl.utils import tensordict_utils as tu

from recipe.zppo.jsd import token_jsd
from recipe.zppo.on_verl import distillation
from recipe.zppo.on_verl.distillation import distillation_loss_fn

ACTOR = OmegaConf.create({"loss_agg_mode": "token-mean", "loss_scale_factor": None})
VOCABULARY = 11


def rows(lengths, k, seed=0):
    """Sequences (prompt, response, mask, teacher log-probs, ids, logits) as verl's agent loops and engine make them."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for prompt, response, masked in lengths:
        size = prompt + response
        teacher = torch.log_softmax(torch.randn(size, VOCABULARY, generator=generator), -1)
        log_probs, ids = teacher.topk(k)
        mask = torch.ones(response, dtype=torch.int64)
        mask[:masked] = 0
        logits = torch.randn(size, VOCABULARY, generator=generator)
        made.append((torch.ones(prompt).long(), torch.ones(response).long(), mask, log_probs, ids.int(), logits))
    return made


def micro_batch(made, num_tokens, dp_size=1):
    nested = [torch.nested.as_nested_tensor([row[i] for row in made], layout=torch.jagged) for i in range(5)]
    names = ("prompts", "responses", "response_mask", "teacher_logprobs", "teacher_ids")
    data = TensorDict(dict(zip(names, nested, strict=True)), batch_size=len(made))
    tu.assign_non_tensor(data, dp_size=dp_size, batch_num_tokens=num_tokens, global_batch_size=4)
    return data


def call(loss_fn, made, num_tokens, **fields):
    """As `forward_step` and `prepare_model_outputs` of verl's FSDP engine do; the loss and the logits' gradient."""
    data = micro_batch(made, num_tokens)
    data.update(fields)
    logits = torch.cat([row[5] for row in made]).requires_grad_()
    outputs = loss_fn(student_logits=logits.unsqueeze(0), data=data)
    offsets = torch.tensor([0] + [len(row[5]) for row in made]).cumsum(0)
    assert all(value.shape == (1, len(logits)) for value in outputs.values())
    nested = {k: torch.nested.nested_tensor_from_jagged(v.squeeze(0), offsets) for k, v in outputs.items()}
    loss, metrics = loss_fn(model_output=nested, data=data, dp_group=None)
    loss.backward()
    return loss.item(), metrics, logits.grad


# (prompt, response, response tokens without loss); the last is one of verl's padding rows.
LENGTHS = [(4, 5, 0), (3, 7, 2), (6, 2, 0), (9, 1, 1)]


@pytest.mark.parametrize("k", [3, VOCABULARY])
def test_loss_is_the_mean_divergence_of_a_response_token_over_all_micro_batches(k):
    made = rows(LENGTHS, k)
    wanted = []
    for prompt, response, mask, log_probs, ids, logits in made:
        at = slice(len(prompt) - 1, len(prompt) + len(response) - 1)  # position t predicts token t + 1
        wanted.append(token_jsd(logits[at], log_probs[at], ids[at]).jsd[mask.bool()])
    wanted = torch.cat(wanted)
    num_tokens = sum(int(row[2].sum()) for row in made)
    assert len(wanted) == num_tokens == 12
    loss_fn = distillation_loss_fn(ACTOR)
    parts = [call(loss_fn, part, num_tokens) for part in (made[:1], made[1:3], made[3:])]
    assert sum(part[0] for part in parts) == pytest.approx(wanted.mean().item())
    for name in ("loss", "jsd"):
        values = [part[1][f"distillation/{name}"].aggregate() for part in parts]
        assert sum(values) == pytest.approx(wanted.mean().item())
    assert max(part[1]["distillation/jsd_max"].aggregate() for part in parts) == pytest.approx(wanted.max().item())
    assert len({tuple(part[1]) for part in parts}) == 1  # verl gathers the same keys from every rank


def test_off_policy_loss_is_the_sum_of_weighted_tokens(monkeypatch):
    """Two questions, the first with two targets; the last row is padding."""
    keys, put = ["a.teacher_0_0", "a.teacher_1_0", "b.teacher_0_0", "pad1_0_0"], {}
    made = rows([(prompt, response, 0) for prompt, response, _ in LENGTHS], VOCABULARY)
    monkeypatch.setattr(distillation.tq, "kv_batch_put", lambda keys, partition_id, fields: put.update(fields))
    tags = [{"response_len": len(row[1])} for row in made]
    distillation.put_question_weights(KVBatchMeta(partition_id="train", keys=keys, tags=tags), [keys[:3]])
    means = []
    for prompt, response, _, log_probs, ids, logits in made[:3]:
        at = slice(len(prompt) - 1, len(prompt) + len(response) - 1)
        means.append(token_jsd(logits[at], log_probs[at], ids[at]).jsd.mean().item())
    losses = [
        call(distillation_loss_fn(ACTOR), made[part], 12, question_weights=put["question_weights"][part])[0]
        for part in (slice(0, 1), slice(1, 4))
    ]
    assert sum(losses) == pytest.approx(((means[0] + means[1]) / 2 + means[2]) / 2)


def test_only_positions_that_predict_a_token_with_loss_have_a_gradient():
    made = rows(LENGTHS[:3], 4)
    _, _, gradient = call(distillation_loss_fn(ACTOR), made, 12)
    moved = gradient.abs().sum(-1) > 0
    want = []
    for prompt, response, mask, *_ in made:
        want += [False] * (len(prompt) - 1) + mask.bool().tolist() + [False]
        assert len(response) == len(mask)
    assert moved.tolist() == want


def test_whole_vocabulary_has_no_mass_outside_and_no_error():
    _, metrics, _ = call(distillation_loss_fn(ACTOR), rows(LENGTHS[:3], VOCABULARY), 12)
    assert metrics["distillation/student_mass"].aggregate() == pytest.approx(1.0)
    assert metrics["distillation/teacher_mass"].aggregate() == pytest.approx(1.0)
    assert metrics["distillation/error_bound"].aggregate() == 0
    _, metrics, _ = call(distillation_loss_fn(ACTOR), rows(LENGTHS[:3], 3), 12)
    assert metrics["distillation/error_bound"].aggregate() > 0.01


def test_loss_is_registered_with_verl_wherever_it_is_sent():
    assert get_distillation_loss_settings("jsd").use_topk
    code = (
        "import sys, pickle; fn = pickle.loads(sys.stdin.buffer.read())\n"
        "from verl.trainer.distillation.losses import DISTILLATION_LOSS_REGISTRY as known\n"
        "assert 'jsd' in known and fn.keywords['loss_agg_mode'] == 'token-mean'"
    )
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(distillation_loss_fn(ACTOR)), check=True)
