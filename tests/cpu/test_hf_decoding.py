"""The decoding loop against transformers' own: a prompt once, rows that leave and enter, and nothing else differs."""

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from transformers import (
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from recipe.cpu import hf_decoding, hf_session, hf_whole_batches
from recipe.cpu.hf_cohort import Cohort
from recipe.cpu.hf_decoding import can_decode, next_group
from recipe.cpu.hf_generator import HFGenerator
from recipe.cpu.hf_requests import Request, Response
from recipe.cpu.hf_sampling import SamplingParams
from tests.tiny_models import make_qwen3

SHAPE: dict[str, Any] = dict(hidden_size=48, intermediate_size=96, num_hidden_layers=2, initializer_range=0.2)
SHAPE |= dict(num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=256, eos_token_id=None)
FAMILIES = {
    "granite": (GraniteForCausalLM, GraniteConfig),
    "llama": (LlamaForCausalLM, LlamaConfig),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config),
}
PARAMS = SamplingParams(1.0, 1.0, 0, 12, logprobs=True, ignore_eos=True)
PROMPTS = [list(range(8, 8 + length)) for length in (3, 9, 1, 14, 40)]


def build(family: str, vocabulary: int, **changes: Any) -> Any:
    torch.manual_seed(0)
    model, config = FAMILIES[family]
    return model(config(vocab_size=vocabulary, **SHAPE | changes))


@pytest.fixture(scope="module")
def generator(tokenizer) -> HFGenerator:
    torch.set_num_threads(1)
    return HFGenerator(build("llama", len(tokenizer)), tokenizer, max_model_len=128)


def seeded(prompts: Sequence[list[int]], **changes: Any) -> list[Request]:
    return [
        Request(prompt, dataclasses.replace(PARAMS, **{"seed": row, "max_tokens": 3 + row % 11} | changes))
        for row, prompt in enumerate(prompts)
    ]


def answers(generator: HFGenerator, requests: Sequence[Request], **limits: int) -> list[Response]:
    session = generator.session(**limits)
    numbers, found = [session.add(request) for request in requests], {}
    while session:
        found |= session.step()
    return [found[number] for number in numbers]


def same(one: Sequence[Response], other: Sequence[Response]) -> None:
    assert [response.token_ids for response in one] == [response.token_ids for response in other]
    for a, b in zip(one, other, strict=True):
        assert a.log_probs == pytest.approx(b.log_probs, abs=1e-5)


class Recorded:
    """The model's forward passes: (rows, tokens) of each, and for how many tokens logits were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: Any):
        self.shapes: list[tuple[int, int]] = []
        self.logits: list[int] = []
        forward: Callable = model.forward

        def recorded(*args: Any, **kwargs: Any) -> Any:
            output = forward(*args, **kwargs)
            self.shapes.append(tuple(kwargs["input_ids"].shape))
            self.logits.append(output.logits.shape[1])
            return output

        monkeypatch.setattr(model, "forward", recorded)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_responses_are_those_of_transformers(family, tokenizer):
    model = build(family, len(tokenizer))
    want = [
        model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=12, pad_token_id=0)[0, len(prompt) :]
        for prompt in PROMPTS
    ]
    generator = HFGenerator(model, tokenizer, max_model_len=128)
    assert can_decode(model)
    requests = [Request(prompt, dataclasses.replace(PARAMS, temperature=0.0)) for prompt in PROMPTS for _ in range(3)]
    got = [response.token_ids for response in generator.generate(requests)]
    assert got == [ids.tolist() for ids in want for _ in range(3)]


@pytest.mark.parametrize("limits", [{"max_seqs": 1}, {"max_seqs": 3}, {"max_seqs": 16}, {"max_tokens": 120}])
def test_draws_depend_neither_on_who_runs_beside_nor_on_the_order(generator, limits):
    requests = seeded(PROMPTS * 6)
    together = generator.generate(requests)
    same(answers(generator, requests, **limits), together)
    order = random.Random(0).sample(range(30), 30)
    same(answers(generator, [requests[i] for i in order], **limits), [together[i] for i in order])


def test_the_loop_gives_what_transformers_loop_gives(generator, monkeypatch):
    requests = seeded(PROMPTS * 4, temperature=0.7, top_p=0.9, entropy=True)
    own = generator.generate(requests)
    monkeypatch.setattr(hf_session, "can_decode", lambda model: False)
    other = generator.generate(requests)
    same(own, other)
    assert [response.entropy for response in own] == pytest.approx([response.entropy for response in other], rel=1e-4)


def test_a_prompt_is_computed_once_and_logits_are_made_where_they_are_needed(generator, monkeypatch):
    recorded = Recorded(monkeypatch, generator.model)
    generator.generate(seeded([PROMPTS[1], PROMPTS[3]] * 8, max_tokens=5))
    assert recorded.shapes == [(2, 14)] + [(16, 1)] * 4
    assert recorded.logits == [1] * 5  # of the two prompts too, each of which has its last token elsewhere


def test_rows_leave_as_they_end_and_others_enter_when_there_is_room_for_several(generator, monkeypatch):
    recorded = Recorded(monkeypatch, generator.model)
    answers(generator, [*seeded([PROMPTS[0]] * 8, max_tokens=6), *seeded([PROMPTS[1]] * 8, max_tokens=3)], max_seqs=8)
    assert recorded.shapes == [(1, 3)] + [(8, 1)] * 5 + [(1, 9)] + [(8, 1)] * 2
    recorded.shapes.clear()
    answers(generator, seeded([PROMPTS[0]] * 8), max_seqs=8)  # budgets of 3 to 10
    assert recorded.shapes == [(1, 3), (8, 1), *((rows, 1) for rows in range(8, 0, -1))]


def test_who_comes_later_enters_beside_those_that_run(generator, monkeypatch):
    requests = seeded([PROMPTS[0]] * 4 + [PROMPTS[4]] * 4, max_tokens=8)
    together = generator.generate(requests)
    recorded = Recorded(monkeypatch, generator.model)
    session, found = generator.session(), {}
    for request in requests[:4]:
        session.add(request)
    for _ in range(3):
        assert not session.step()
    for request in requests[4:]:
        session.add(request)
    while session:
        found |= session.step()
    same([found[number] for number in range(8)], together)
    assert [rows for rows, length in recorded.shapes if length == 1] == [4] * 3 + [8] * 4 + [4] * 3


def test_what_is_aborted_keeps_its_tokens_and_what_is_forgotten_never_begins(generator):
    requests = seeded([PROMPTS[0]] * 4, max_tokens=8)
    whole = generator.generate(requests)
    session = generator.session(max_seqs=2)
    numbers = [session.add(request) for request in requests]
    session.step()
    assert session.forget(set(numbers)) == set(numbers[2:])
    assert not session.forget(set(numbers))
    for number, response in session.stop().items():
        assert response.aborted and response.token_ids == whole[number].token_ids[:2]
    assert not session
    calls = iter([False, False, True])
    cut = generator.generate(requests, lambda: next(calls))
    assert [response.token_ids for response in cut] == [response.token_ids[:3] for response in whole]


def test_what_a_model_does_to_its_logits_is_done_to_those_of_prompts(tokenizer):
    model = build("granite", len(tokenizer), logits_scaling=0.25)
    requests = seeded(PROMPTS, max_tokens=1)
    generator = HFGenerator(model, tokenizer, max_model_len=128)
    for prompt, response in zip(PROMPTS, generator.generate(requests), strict=True):
        with torch.inference_mode():
            want = torch.log_softmax(model(torch.tensor([prompt])).logits[0, -1], -1)
        assert response.log_probs == pytest.approx([float(want[response.token_ids[0]])], abs=1e-4)


def test_bfloat16_attends_in_fp32(tokenizer):
    """Log-probs are the model's up to what a bfloat16 forward pass rounds."""
    model = build("llama", len(tokenizer), initializer_range=0.1).bfloat16()
    generator = HFGenerator(model, tokenizer, max_model_len=128)
    requests = seeded(PROMPTS * 2)
    for request, response in zip(requests, generator.generate(requests), strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([request.prompt_ids + response.token_ids])).logits[0].float()
        want = torch.log_softmax(logits[len(request.prompt_ids) - 1 : -1], -1)
        want = want.gather(-1, torch.tensor(response.token_ids)[:, None])[:, 0]
        assert response.log_probs == pytest.approx(want.tolist(), abs=0.05)


def test_layers_that_do_not_see_everything_are_left_to_transformers(tokenizer):
    sliding = make_qwen3(len(tokenizer), use_sliding_window=True, sliding_window=4, max_window_layers=2)
    generator = HFGenerator(sliding, tokenizer, max_model_len=96)
    assert not can_decode(sliding)
    request = Request(PROMPTS[3], dataclasses.replace(PARAMS, temperature=0.0))
    ids = torch.tensor([PROMPTS[3]])
    want = sliding.generate(ids, do_sample=False, max_new_tokens=12, pad_token_id=0)[0, 14:]
    assert [response.token_ids for response in generator.generate([request] * 4)] == [want.tolist()] * 4


def test_who_enters_together():
    def group(requests: list[tuple[int, int]], rows: int = 99, tokens: int = 10**6, at_least: bool = True) -> list:
        """Of (prompt length, budget)."""
        waiting = {n: Request([7] * length, SamplingParams(1, 1, 0, b)) for n, (length, b) in enumerate(requests)}
        return [(len(prompt), n) for prompt, n in next_group(waiting, rows, tokens, at_least=at_least).items()]

    assert group([(30, 4), (10, 4), (30, 4), (12, 4)]) == [(10, [1]), (12, [3])]  # of about one length
    assert group([(10, 4)] * 5, rows=3) == [(10, [0, 1, 2])]
    assert group([(10, 4), (11, 4), (11, 4)], rows=2) == [(10, [0])]  # a prompt is not computed twice
    assert group([(10, 4)] * 5, tokens=22) == [(10, [0, 1, 2])]
    assert group([(10, 4), (11, 8)], tokens=37) == [(10, [0])]  # 22 + 2 * 8
    assert group([(10, 4), (10, 4), (11, 4)], tokens=37) == [(10, [0, 1])]  # two rows of either: 22 + 4 * 4
    assert group([(10, 4), (10, 4), (11, 4)], tokens=38) == [(10, [0, 1]), (11, [2])]
    assert group([(10, 4)] * 8 + [(11, 4), (12, 4)]) == [(10, [*range(8)]), (11, [8])]  # 10 of 24 places
    assert group([(10, 4)] * 8 + [(11, 4)] * 4, rows=12) == [(10, [*range(8)]), (11, [8, 9, 10, 11])]
    assert group([(10, 4)] * 5, tokens=2) == [(10, [0])]
    assert group([(10, 4)] * 5, tokens=2, at_least=False) == []


def test_who_may_enter_is_asked_when_something_has_changed(generator, monkeypatch):
    asked: list[int] = []

    def counted(waiting: dict[int, Request], *args: Any, **kwargs: Any) -> Any:
        asked.append(len(waiting))
        return next_group(waiting, *args, **kwargs)

    monkeypatch.setattr(hf_decoding, "next_group", counted)
    session = generator.session(max_tokens=30)
    requests = seeded([PROMPTS[0]] * 4, max_tokens=12)  # 27 places for two rows
    numbers = [session.add(request) for request in requests]
    for _ in range(5):
        session.step()
    assert asked == [4, 2]
    session.forget({numbers[3]})
    session.step()
    session.step()
    assert asked == [4, 2, 1]
    numbers.append(session.add(requests[3]))
    session.step()
    session.step()
    assert asked == [4, 2, 1, 2]
    while session:
        session.step()
    assert asked == [4, 2, 1, 2, 2]  # both, as the first two have ended


def test_the_cache_stays_within_its_bound(generator):
    """Twenty rows of one prompt beside twenty prompts of one row: a grid of all would have 420 places."""
    limit = 2000
    session = generator.session(max_tokens=limit)
    for request in seeded([PROMPTS[0]] * 20 + [[8 + i, 9, 10, 11] for i in range(20)], max_tokens=60):
        session.add(request)
    while session:
        session.step()
        assert sum(run.cohort.num_tokens() for run in session._decoding._running) <= limit


def test_batches_of_transformers_loop_are_bounded_and_of_similar_lengths():
    def count(lengths: list[int], rows: int = 99, tokens: int = 10**6) -> int:
        requests = [Request([7] * length, SamplingParams(1, 1, 0, 10)) for length in lengths]
        return hf_whole_batches.similar(requests, rows, tokens)

    assert count([5] * 20, rows=8) == 8
    assert count([5] * 20, tokens=60) == 4
    assert count([200], tokens=60) == 1  # one that exceeds the bound by itself still runs
    assert count([10, 12, 20, 190, 200]) == 3
    assert count([190, 200, 300]) == 3


def test_a_grid_with_holes_is_made_anew_and_attends_alike():
    """Three prompts of four rows each; rows leave until one is left."""
    torch.manual_seed(0)
    lengths = torch.tensor([3, 5, 4])
    prompt = torch.randn(2, 3, 2, 5, 4)  # keys and values; 2 shared heads of size 4
    rows, prompts = torch.arange(12), torch.arange(3).repeat_interleave(4)
    cohort = Cohort(rows, prompts, lengths, [(prompt[0], prompt[1])], budget=40)
    own = torch.randn(2, 40, 12, 2, 4)
    for step in range(40):
        query, row = torch.randn(12, 6, 4)[cohort.rows], cohort.rows
        cohort.advance()
        assert cohort.positions.tolist() == (lengths[prompts[row]] + step).tolist()
        got = cohort.attend(0, query, own[0, step, row], own[1, step, row], 0.5)
        for index, number in enumerate(row.tolist()):
            length = int(lengths[prompts[number]])
            keys, values = (
                torch.cat([prompt[i, prompts[number], :, :length], own[i, : step + 1, number].transpose(0, 1)], 1)
                for i in (0, 1)
            )
            want = torch.nn.functional.scaled_dot_product_attention(
                query[index, :, None], keys.repeat_interleave(3, 0), values.repeat_interleave(3, 0), scale=0.5
            )
            torch.testing.assert_close(got[index], want[:, 0])
        if step % 3 == 2 and len(row) > 1:
            stay = torch.ones(len(row), dtype=torch.bool)
            stay[step % len(row)] = False
            cohort.keep(stay)
    assert len(cohort.rows) == 1 and cohort.num_tokens() == int(lengths[prompts[cohort.rows]]) + 40
    assert cohort._layers[0].keys.shape[3] == 40  # not 64
