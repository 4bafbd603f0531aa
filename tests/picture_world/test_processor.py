"""Tokenizer and processor: round trips, and the pixels and tokens that verl's own loading gives."""

import random

import pytest
import torch

from recipe.zppo.picture_world.documents import Corpus, question_messages
from recipe.zppo.picture_world.drawing import draw
from recipe.zppo.picture_world.pretrain import Encoder, build_model
from recipe.zppo.picture_world.processor import (
    IMAGE,
    TOKENS_PER_PICTURE,
    build_image_processor,
    pictures,
    prompt_ids,
    save_processor,
)
from recipe.zppo.prompts import with_closer
from recipe.zppo.world.encoding import IGNORED
from recipe.zppo.world.pretrain import draw_documents


@pytest.fixture
def corpus(settings, names):
    return Corpus(settings, names, random.Random(7))


def test_responses_and_summaries_come_back_as_they_are(corpus, tokenizer):
    for model in ("student", "teacher"):
        for draw_one in corpus.kinds(model).values():
            for _ in range(30):
                response = draw_one().response
                ids = tokenizer.encode(response, add_special_tokens=False)
                assert tokenizer.decode(ids) == response


def test_every_kind_is_within_the_vocabulary(corpus, tokenizer):
    encoder = Encoder(1024)
    for model in ("student", "teacher"):
        for draw_one in corpus.kinds(model).values():
            for _ in range(30):
                document = draw_one()
                prompt, response = encoder.tokens(document)
                assert tokenizer.unk_token_id not in prompt + response
                assert response[-1] == tokenizer.eos_token_id
                assert prompt.count(encoder.image_id) == TOKENS_PER_PICTURE * len(pictures(document.messages))


def test_pixels_come_back_from_patches(corpus):
    """Undoes the processor by hand: nine cells of 2 x 2 patches of 14 x 14 pixels, nothing resized."""
    image = draw(corpus.question().scene)
    output = build_image_processor()(images=[image], return_tensors="pt")
    assert output["image_grid_thw"].tolist() == [[1, 6, 6]]
    patches = output["pixel_values"].view(3, 3, 2, 2, 3, 2, 14, 14)[..., 0, :, :]  # rows, columns of cells; of patches
    pixels = patches.permute(0, 2, 5, 1, 3, 6, 4).reshape(84, 84, 3)
    pixels = ((pixels * 0.5 + 1.0) * 255).round().to(torch.uint8)
    assert pixels.numpy().tobytes() == image.tobytes()


def test_verl_loads_the_processor_and_gives_the_same_prompt(corpus, tokenizer, tmp_path):
    import recipe.cpu

    recipe.cpu.use_cpu()
    from verl.utils import hf_processor

    build_model(corpus.settings.student, tokenizer).config.save_pretrained(tmp_path)
    save_processor(tokenizer, tmp_path)
    processor = hf_processor(str(tmp_path))
    question = corpus.question()
    messages = with_closer(question_messages(question))
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    output = processor(text=[text], images=pictures(messages), return_tensors="pt")
    assert output["input_ids"][0].tolist() == prompt_ids(tokenizer, messages)
    ours = build_image_processor()(images=pictures(messages), return_tensors="pt")
    assert torch.equal(output["pixel_values"], ours["pixel_values"])
    assert text.count(IMAGE) == 1


def test_a_step_has_the_documents_asked_for_their_pictures_and_loss_on_responses_only(corpus, settings, tokenizer):
    encoder = Encoder(1024)
    documents = draw_documents(corpus.kinds("teacher"), settings.teacher_pretraining)
    batches = encoder.batches(documents)
    assert sum(len(batch.labels) for batch in batches) == settings.teacher_pretraining.batch_documents
    num_pictures = sum(len(batch.inputs.get("image_grid_thw", [])) for batch in batches)
    assert num_pictures == sum(len(pictures(document.messages)) for document in documents) < len(documents)
    learnt = []
    for batch in batches:
        for row, labels in zip(batch.inputs["input_ids"], batch.labels, strict=True):
            assert torch.equal(row[labels != IGNORED], labels[labels != IGNORED])
            learnt.append(tokenizer.decode(labels[labels != IGNORED].tolist(), skip_special_tokens=True))
    assert sorted(learnt) == sorted(document.response for document in documents)
