"""What the rollout server computes with is what the trainer's update computes with: pixels, positions, log-probs."""

import dataclasses
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from cachetools import LRUCache
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.utils import hf_processor, hf_tokenizer
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.dataset_utils import DatasetPadMode
from verl.utils.tokenizer import build_multimodal_processor_inputs

from recipe.cpu.hf_generator import HFGenerator
from recipe.cpu.hf_sampling import SamplingParams
from recipe.zppo.errors import RolloutError
from recipe.zppo.media import parts as media
from recipe.zppo.on_verl.worker import ZPPOAgentLoopWorker
from recipe.zppo.prompts import bcq_messages, ncq_messages, with_closer
from tests.media.pictures import picture
from tests.tiny_models import make_qwen3

PARAMS = SamplingParams(1.0, 1.0, 0, 12, seed=5, logprobs=True, ignore_eos=True)
MOVIE = {"video": [picture(20 + i, (32, 48)) for i in range(3)], "fps": 2.0}
QUESTIONS = {
    "text": ("1+1=?", [], []),
    "one image": ("<image>how many?", [picture(1)], []),
    "two images": ("see <image> and <image>: same?", [picture(2, (32, 64)), picture(3, (50, 20))], []),
    "video": ("look <video> and say.", [], [MOVIE]),
    "image and video": ("<image><video>?", [picture(4, (32, 32))], [MOVIE]),
}


def question(name: str) -> list[dict]:
    text, images, videos = QUESTIONS[name]
    return media.place([{"role": "user", "content": text}], images, videos)


@pytest.fixture(scope="module")
def model(qwen3_5_path):
    from transformers import Qwen3_5ForConditionalGeneration

    torch.set_num_threads(1)
    return Qwen3_5ForConditionalGeneration.from_pretrained(qwen3_5_path, attn_implementation="sdpa")


@pytest.fixture(scope="module")
def server(model, qwen3_5_path):
    path = str(qwen3_5_path)
    return HFGenerator(model, hf_tokenizer(path), hf_processor(path), max_model_len=2000)


@pytest.fixture(scope="module")
def worker(server, qwen3_5_path):
    """The agent-loop worker as far as it makes the trainer's inputs: its own code, without Ray."""
    worker = object.__new__(ZPPOAgentLoopWorker)
    worker.processor, worker.tokenizer = server.processor, hf_tokenizer(str(qwen3_5_path))
    worker.mm_processor_kwargs = {}
    worker._pixels = LRUCache(32)
    return worker


def tokens(processor, messages) -> tuple[list[int], dict]:
    """The prompt's token ids and its media, as verl's agent loop makes them."""
    images, videos = media.extract(messages, processor.image_processor.patch_size)
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    inputs = build_multimodal_processor_inputs(processor, text=[text], images=images, videos=videos)
    found = {"images": images, "videos": videos}
    return inputs["input_ids"][0].tolist(), {name: value for name, value in found.items() if value}


def update_inputs(worker, prompt_ids, response_ids, data) -> dict:
    """A row of the batch: token ids, positions (4, T) and vision features."""
    output = AgentLoopOutput(
        prompt_ids=prompt_ids,
        response_ids=response_ids,
        response_mask=[1] * len(response_ids),
        metrics={},
        multi_modal_data=data,
    )
    ids = torch.tensor(prompt_ids + response_ids)
    features = worker._compute_multi_modal_inputs(output, ids)
    positions = worker._compute_position_ids(ids[None], torch.ones_like(ids)[None], features).squeeze(0)
    return {"input_ids": ids, "position_ids": positions, "multi_modal_inputs": features}


def rolled_out(server, worker, all_messages) -> list[tuple]:
    """(request, response, row of the batch) of each, generated together."""
    prompts = [tokens(server.processor, messages) for messages in all_messages]
    requests = [server.request(ids, PARAMS, data.get("images"), data.get("videos"), {}) for ids, data in prompts]
    return [
        (request, response, update_inputs(worker, ids, response.token_ids, data))
        for request, response, (ids, data) in zip(requests, server.generate(requests), prompts, strict=True)
    ]


@pytest.fixture(scope="module")
def mixed(server, worker):
    return rolled_out(server, worker, [question(name) for name in QUESTIONS])


def test_the_server_leaves_the_prompt_as_the_agent_loop_made_it(mixed, server):
    for (request, _, _), name in zip(mixed, QUESTIONS, strict=True):
        ids, _ = tokens(server.processor, question(name))
        assert request.prompt_ids == ids


def test_server_and_update_have_the_same_pixels(mixed):
    for (request, _, row), (_, images, videos) in zip(mixed, QUESTIONS.values(), strict=True):
        names = {"pixel_values": images, "image_grid_thw": images}
        names |= {"pixel_values_videos": videos, "video_grid_thw": videos}
        assert request.features.keys() == {name for name, given in names.items() if given}
        for name, value in request.features.items():
            assert torch.equal(value, row["multi_modal_inputs"][name])


def test_plain_bcq_and_ncq_prompts_have_the_same_pixels_at_the_same_positions(server, worker):
    for name in QUESTIONS:
        asked = question(name)
        shown = [asked, bcq_messages(asked, "<image> a", "b <|image_pad|>"), ncq_messages(asked, ["<video>"], ["c"])]
        rows = rolled_out(server, worker, [with_closer(messages) for messages in shown])
        plain, vision = rows[0][2], _vision(rows[0][2]["input_ids"], server)
        for _, _, row in rows[1:]:
            assert torch.equal(_vision(row["input_ids"], server), vision)
            assert torch.equal(row["position_ids"][:, vision], plain["position_ids"][:, vision])
            for key, value in plain["multi_modal_inputs"].items():
                assert torch.equal(value, row["multi_modal_inputs"][key])


def _vision(ids: torch.Tensor, server) -> torch.Tensor:
    """Where the placeholders stand, counted from the beginning of the prompt, which all kinds share."""
    processor = server.processor
    return ((ids == processor.image_token_id) | (ids == processor.video_token_id)).nonzero()[:, 0]


def test_positions_are_the_models_own(mixed, model):
    for _, _, row in mixed:
        ids = row["input_ids"][None]
        types = (ids == model.config.image_token_id).long() + 2 * (ids == model.config.video_token_id).long()
        grids = {f"{kind}_grid_thw": row["multi_modal_inputs"].get(f"{kind}_grid_thw") for kind in ("image", "video")}
        own, _ = model.model.get_rope_index(ids, mm_token_type_ids=types, attention_mask=torch.ones_like(ids), **grids)
        text, vision = row["position_ids"][0], row["position_ids"][1:]
        assert torch.equal(text, torch.arange(len(text)))
        assert torch.equal(vision, own[:, 0])
        # With an image, text positions and the rotary ones part: the comparison above is not of one with itself.
        assert torch.equal(vision[0], text) == (not any(value is not None for value in grids.values()))


def test_a_batch_changes_nothing(server, mixed):
    for request, together, _ in mixed:
        (alone,) = server.generate([request])
        assert alone.token_ids == together.token_ids
        assert alone.log_probs == pytest.approx(together.log_probs, abs=1e-5)


def test_every_image_matters(server):
    ids, data = tokens(server.processor, question("two images"))
    first = server.generate([server.request(ids, PARAMS, data["images"])])[0]
    swapped = [data["images"][0], picture(9, data["images"][1].size)]
    second = server.generate([server.request(ids, PARAMS, swapped)])[0]
    assert first.log_probs != pytest.approx(second.log_probs, abs=1e-4)
    ids, data = tokens(server.processor, question("video"))
    (frames, metadata), flipped = data["videos"][0], data["videos"][0][0].flip(0)
    first, second = (
        server.generate([server.request(ids, PARAMS, None, [(tensor, dict(metadata))])])[0]
        for tensor in (frames, flipped)
    )
    assert first.log_probs != pytest.approx(second.log_probs, abs=1e-4)


@pytest.fixture
def verl_model(model, monkeypatch):
    """The model with verl's forward passes, which it puts on the classes, until the test ends."""
    from transformers.integrations import flash_attention
    from transformers.models.qwen3_5 import modeling_qwen3_5 as dense
    from transformers.models.qwen3_5_moe import modeling_qwen3_5_moe as moe
    from verl.models.transformers.monkey_patch import apply_monkey_patch

    classes = ("ForConditionalGeneration", "Model", "DecoderLayer", "GatedDeltaNet", "TextModel", "VisionModel")
    for module, prefix in ((dense, "Qwen3_5"), (moe, "Qwen3_5Moe")):
        for name in classes:
            found = getattr(module, prefix + name)
            monkeypatch.setattr(found, "forward", found.forward)
    for found in (dense.Qwen3_5VisionModel, moe.Qwen3_5MoeVisionModel):
        monkeypatch.setattr(found, "fast_pos_embed_interpolate", found.fast_pos_embed_interpolate)
    monkeypatch.setattr(flash_attention, "_flash_attention_forward", flash_attention._flash_attention_forward)
    apply_monkey_patch(model, use_remove_padding=False)
    return model


def engine_log_probs(model, rows, *, packed: bool) -> list[list[float]]:
    """The log-probs of each row's tokens, by the inputs that verl's FSDP engine makes of a micro-batch."""
    from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

    batch = tu.list_of_dict_to_tensordict(rows)
    tu.assign_non_tensor(batch, temperature=1.0, use_remove_padding=packed, pad_mode=DatasetPadMode.NO_PADDING)
    engine = SimpleNamespace(
        pad_to_length=False, pass_packed_cu_seqlens=True, use_ulysses_sp=False, _get_packed_pad_size=lambda n: 0
    )
    inputs, _ = FSDPEngineWithLMHead.prepare_model_inputs(engine, batch)
    with torch.no_grad():
        logits = model(**inputs, use_cache=False).logits
    starts = [0, *torch.tensor([len(row["input_ids"]) for row in rows]).cumsum(0).tolist()]
    result = []
    for i, row in enumerate(rows):
        ids = row["input_ids"]
        own = logits[0, starts[i] : starts[i + 1]] if packed else logits[i, : len(ids)]
        result.append(torch.log_softmax(own[:-1], -1).gather(-1, ids[1:, None])[:, 0].tolist())
    return result


def test_the_update_computes_the_servers_log_probs(verl_model, mixed):
    """Text, images and videos in one micro-batch; a wrong pixel or position would show here."""
    rows = [row for _, _, row in mixed]
    for (_, response, _), log_probs in zip(mixed, engine_log_probs(verl_model, rows, packed=False), strict=True):
        assert log_probs[-len(response.token_ids) :] == pytest.approx(response.log_probs, abs=1e-4)
    # The same with a wrong position, so that this is no comparison of what does not matter.
    moved = rows[1] | {"position_ids": torch.arange(len(rows[1]["input_ids"])).expand(4, -1)}
    log_probs, _ = engine_log_probs(verl_model, [moved, rows[0]], packed=False)
    assert log_probs[-12:] != pytest.approx(mixed[1][1].log_probs, abs=1e-4)


def test_without_flash_linear_attention_packed_sequences_flow_into_each_other(verl_model, mixed):
    """Why `check_packing` refuses it: verl takes transformers' fall-back for a kernel that knows sequence ends
    (verl/models/transformers/qwen3_5.py:_packed_chunk_gated_delta_rule). If this fails, the check can go.
    """
    rows = [row for _, _, row in mixed]
    packed = engine_log_probs(verl_model, rows, packed=True)
    apart = engine_log_probs(verl_model, rows, packed=False)
    assert packed[0] == pytest.approx(apart[0], abs=1e-4)
    assert packed[1] != pytest.approx(apart[1], abs=1e-4)


def test_a_placeholder_that_the_model_spelled_out_is_no_image(server, worker):
    ids, data = tokens(server.processor, question("one image"))
    spelled = worker.tokenizer.convert_tokens_to_ids(list("<|image_pad|>"))
    assert worker.tokenizer.decode(spelled) == "<|image_pad|>"
    row = update_inputs(worker, ids, spelled, data)
    assert row["multi_modal_inputs"]["image_grid_thw"].shape == (1, 3)
    assert row["position_ids"].shape == (4, len(ids) + len(spelled))


def test_the_processor_runs_once_for_the_rollouts_of_a_prompt(server, worker, monkeypatch):
    monkeypatch.setattr(worker, "_pixels", LRUCache(32))  # other tests have shown these images
    messages = media.decoded(question("two images"))
    group = [tokens(server.processor, messages) for _ in range(3)]
    calls = []
    process = worker.processor.image_processor.preprocess
    monkeypatch.setattr(
        worker.processor.image_processor, "preprocess", lambda *a, **k: calls.append(1) or process(*a, **k)
    )
    rows = [update_inputs(worker, ids, [5], data) for ids, data in group for _ in range(2)]
    assert len(calls) == 1
    for row in rows[1:]:
        assert torch.equal(row["position_ids"], rows[0]["position_ids"])
        assert row["multi_modal_inputs"].keys() == rows[0]["multi_modal_inputs"].keys()
    ids, data = group[0]
    other = update_inputs(worker, ids, [5], {"images": data["images"][::-1]})
    assert not torch.equal(other["multi_modal_inputs"]["pixel_values"], rows[0]["multi_modal_inputs"]["pixel_values"])


def test_another_image_is_never_taken_for_one_whose_pixels_are_kept(worker, monkeypatch):
    monkeypatch.setattr(worker, "_pixels", LRUCache(2))
    calls = count()
    verls = ZPPOAgentLoopWorker.__bases__[-1]
    monkeypatch.setattr(verls, "_compute_multi_modal_inputs", lambda *_: {"call": next(calls)})

    def call(images):
        output = SimpleNamespace(multi_modal_data={"images": images}, prompt_ids=[1])
        return worker._compute_multi_modal_inputs(output, None)["call"]

    first, second = [object()], [object()]
    assert [call(first), call(second), call(first), call(first + second)] == [0, 1, 0, 2]
    for number in range(3, 103):  # objects that die leave their addresses to others
        assert call([object()]) == number
    assert [call([]), call([]), call(None)] == [103, 104, 105]


def test_a_placeholder_that_the_model_drew_fails_its_rollout_and_is_left_out_of_validation(worker):
    image, video = worker.processor.image_token_id, worker.processor.video_token_id

    def output(ids):
        log_probs = [-float(token) for token in ids]
        return AgentLoopOutput(
            prompt_ids=[1], response_ids=ids, response_mask=[1] * len(ids), response_logprobs=log_probs, metrics={}
        )

    for token in (image, video):
        with pytest.raises(RolloutError, match="placeholder"):
            worker._refuse_placeholders(output([4, token, 5]), validate=False)
        validated = output([4, token, 5])
        worker._refuse_placeholders(validated, validate=True)
        assert (validated.response_ids, validated.response_logprobs) == ([4, 5], [-4.0, -5.0])
        assert validated.response_mask == [1, 1]
    clean = output([4, 5])
    worker._refuse_placeholders(clean, validate=False)
    assert clean == output([4, 5])


def test_a_prompt_of_one_token_has_no_pixels(worker):
    """As in the grading of a teacher's response, whose prompt does not matter."""
    row = update_inputs(worker, [3], [5, 6], {})
    assert row["multi_modal_inputs"] == {}
    assert row["position_ids"].tolist() == [[0, 1, 2]] * 4


def test_text_alone_is_scored_by_a_vision_model_whatever_came_before(server):
    """The model remembers the last image's offset of positions (`rope_deltas`)."""
    ids, _ = tokens(server.processor, question("text"))
    score = SamplingParams(1.0, 1.0, 0, 1, prompt_logprobs=0)
    (before,) = server.generate([server.request(ids, score)])
    with_image, data = tokens(server.processor, question("one image"))
    server.generate([server.request(with_image, PARAMS, data["images"])])
    (after,) = server.generate([server.request(ids, score)])
    assert after.prompt_scores.log_probs == pytest.approx(before.prompt_scores.log_probs, abs=1e-6)


def test_placeholders_come_expanded_or_not_and_count_against_the_context(server):
    images = QUESTIONS["one image"][1]
    ids, _ = tokens(server.processor, question("one image"))
    short = [
        token
        for i, token in enumerate(ids)
        if i == 0 or token != ids[i - 1] or token != server.processor.image_token_id
    ]
    large = dataclasses.replace(PARAMS, max_tokens=10_000)
    assert len(short) < len(ids)
    for prompt in (short, ids):
        request = server.request(prompt, large, images)
        assert request.prompt_ids == ids and request.params.max_tokens == server.max_model_len - len(ids)


def test_media_that_do_not_match_the_prompt_are_refused(server, tokenizer):
    ids, _ = tokens(server.processor, question("one image"))
    for images, message in (([picture(1)] * 2, "1 images, but 2"), (None, "no image came")):
        with pytest.raises(ValueError, match=message):
            server.request(ids, PARAMS, images)
    text_only = HFGenerator(make_qwen3(len(tokenizer)), tokenizer, max_model_len=64)
    for media_kinds, message in (([[picture(1)]], "image"), ([None, [torch.zeros(2, 3, 28, 28)]], "video")):
        with pytest.raises(ValueError, match=message):
            text_only.request([9, 10], PARAMS, *media_kinds)
