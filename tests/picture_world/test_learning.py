"""The vision tower's alignment, and sampling with the cache of linear attention layers."""

import random

import pytest
import torch

from recipe.zppo.picture_world.alignment import Alignment
from recipe.zppo.picture_world.documents import question_messages
from recipe.zppo.picture_world.evaluate import PictureSampler
from recipe.zppo.picture_world.pretrain import build_model
from recipe.zppo.picture_world.processor import prompt_ids
from recipe.zppo.picture_world.settings import PictureWorldSettings
from recipe.zppo.prompts import compression_messages, with_closer
from recipe.zppo.world.evaluate import one_thread
from recipe.zppo.world.sampling import MAX_NEW_TOKENS


@pytest.fixture
def model(tokenizer):
    torch.manual_seed(0)
    return build_model(PictureWorldSettings.smoke().student, tokenizer)


def test_the_vision_tower_learns_to_name_the_cells_of_pictures_never_shown(settings, names, model):
    rng = random.Random(0)
    scenes = [names.draw_question(settings, rng, held_out=True).scene for _ in range(40)]
    with one_thread():
        alignment = Alignment(model)
        before = share_named(alignment, scenes)
        for _ in range(40):
            alignment.step([names.draw_question(settings, rng).scene for _ in range(16)])
        after = share_named(alignment, scenes)
    most_frequent = sum(not label for s in scenes for label in alignment.labels(s)["colour"]) / (9 * len(scenes))
    assert before < most_frequent < 0.6
    assert after > 0.85


@torch.no_grad()
def share_named(alignment, scenes) -> float:
    """Of all cells those whose colour and form are both right."""
    features = alignment.features(scenes)
    right = torch.ones(len(features), dtype=torch.bool)
    for kind, embeddings in alignment.embeddings.items():
        labels = torch.tensor([label for scene in scenes for label in alignment.labels(scene)[kind]])
        right &= (features @ embeddings.T).argmax(-1) == labels
    return right.float().mean().item()


def test_sampling_with_a_cache_draws_what_sampling_without_one_draws(settings, names, model):
    question = names.draw_question(settings, random.Random(1))
    # The prompt without a picture comes second: it must not see the positions of the first.
    for messages in (with_closer(question_messages(question)), compression_messages(question.summary())):
        with one_thread():
            (group,) = PictureSampler(model, seed=3)([messages], 3)
            assert group == slowly(PictureSampler(model, seed=3), messages, 3)


@torch.no_grad()
def slowly(sampler, messages, num_samples) -> list[str]:
    tokenizer = sampler.encoder.tokenizer
    prompt = torch.tensor([prompt_ids(tokenizer, messages)] * num_samples)
    ids = prompt
    for _ in range(MAX_NEW_TOKENS):
        inputs = sampler.encoder.inputs(ids, [messages] * num_samples)
        probabilities = sampler.model(**inputs, use_cache=False).logits[:, -1].softmax(-1)
        token = torch.multinomial(probabilities, 1, generator=sampler.generator)
        done = (ids[:, prompt.shape[1] :] == tokenizer.eos_token_id).any(-1)
        token[done] = tokenizer.eos_token_id
        ids = torch.cat([ids, token], 1)
    return tokenizer.batch_decode(ids[:, prompt.shape[1] :], skip_special_tokens=True)
