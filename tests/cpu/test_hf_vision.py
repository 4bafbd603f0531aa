"""Image prompts on a tiny random Qwen2-VL, with the processor that the server falls back on without torchvision."""

import dataclasses

import pytest
import torch
from PIL import Image

from recipe.cpu.hf_generator import HFGenerator
from recipe.cpu.hf_sampling import SamplingParams
from recipe.cpu.hf_server import image_processor_of

PARAMS = SamplingParams(1.0, 1.0, 0, 6, seed=5, logprobs=True, ignore_eos=True)


@pytest.fixture(scope="module")
def model_config(qwen2_vl_path):
    from verl.workers.config import HFModelConfig

    return HFModelConfig(path=str(qwen2_vl_path), override_config={"attn_implementation": "sdpa"})


@pytest.fixture(scope="module")
def generator(model_config):
    from transformers import Qwen2VLForConditionalGeneration

    torch.set_num_threads(1)
    model = Qwen2VLForConditionalGeneration.from_pretrained(model_config.local_path)
    return HFGenerator(model, model_config.tokenizer, image_processor_of(model_config), max_model_len=200)


@pytest.fixture(scope="module")
def prompt(tokenizer):
    def prompt(images: int = 1) -> list[int]:
        content = [{"type": "image"}] * images + [{"type": "text", "text": "a + 12 = ?"}]
        messages = [{"role": "user", "content": content}]
        return tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]

    return prompt


def picture(color: str, size=(56, 84)) -> Image.Image:
    return Image.new("RGB", size, color)


def test_the_image_matters_and_the_batch_does_not(generator, prompt):
    asked = [
        generator.request(prompt(), PARAMS, [picture("red")]),
        generator.request([9, 10, 11], PARAMS),
        generator.request(prompt(2), PARAMS, [picture("red"), picture("blue", (28, 28))]),
        generator.request(prompt(), PARAMS, [picture("white", (112, 84))]),
    ]
    together = generator.generate(asked)
    alone = [generator.generate([request])[0] for request in asked]
    for a, b in zip(together, alone, strict=True):
        assert a.token_ids == b.token_ids
        assert a.log_probs == pytest.approx(b.log_probs, abs=1e-5)
    assert together[0].log_probs != pytest.approx(together[3].log_probs, abs=1e-5)


def test_log_probs_are_those_of_a_plain_forward_pass(generator, prompt):
    request = generator.request(prompt(), PARAMS, [picture("green")])
    (response,) = generator.generate([request])
    tokens = torch.tensor([request.prompt_ids + response.token_ids])
    with torch.no_grad():
        logits = generator.model(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            mm_token_type_ids=(tokens == generator.model.config.image_token_id).int(),
            **request.features,
        ).logits[0, len(request.prompt_ids) - 1 : -1]
    expected = torch.log_softmax(logits, -1).gather(-1, torch.tensor(response.token_ids)[:, None])[:, 0]
    assert response.log_probs == pytest.approx(expected.tolist(), abs=1e-5)


def test_placeholders_come_expanded_or_not(generator, prompt):
    image = picture("red")
    request = generator.request(prompt(), PARAMS, [image])
    placeholders = request.prompt_ids.count(generator.model.config.image_token_id)
    assert placeholders == (56 // 28) * (84 // 28)
    assert generator.request(request.prompt_ids, PARAMS, [image]).prompt_ids == request.prompt_ids


def test_an_expanded_prompt_counts_against_the_context(generator, prompt):
    room = generator.max_model_len - len(generator.request(prompt(), PARAMS, [picture("red")]).prompt_ids)
    large = dataclasses.replace(PARAMS, max_tokens=1000)
    assert generator.request(prompt(), large, [picture("red")]).params.max_tokens == room


def test_what_does_not_match_is_refused(generator, prompt):
    with pytest.raises(ValueError, match="1 images, but 2"):
        generator.request(prompt(), PARAMS, [picture("red")] * 2)
    with pytest.raises(ValueError, match="no image came"):
        generator.request(prompt(), PARAMS)
    with pytest.raises(ValueError, match="video"):
        generator.request([9, 10], PARAMS, None, [torch.zeros(2, 3, 28, 28)])


def test_a_text_model_takes_no_images(tokenizer):
    from tests.tiny_models import make_qwen3

    generator = HFGenerator(make_qwen3(len(tokenizer)), tokenizer, max_model_len=64)
    with pytest.raises(ValueError, match="image"):
        generator.request([9, 10], PARAMS, [picture("red")])
