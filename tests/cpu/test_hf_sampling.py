"""The sampler against slow references: one row at a time, plain forward passes, the definition of top-p."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe.cpu.hf_draws import Draws
from recipe.cpu.hf_generator import HFGenerator
from recipe.cpu.hf_sampling import SamplingParams
from recipe.cpu.hf_truncation import keep_top
from recipe.cpu.hf_weights import check_complete, load_weights
from tests.tiny_models import make_qwen3

DEFAULTS = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, max_tokens=8)


def params(**changes) -> SamplingParams:
    return dataclasses.replace(DEFAULTS, logprobs=True, **changes)


@pytest.fixture(scope="module")
def generator(tokenizer):
    torch.set_num_threads(1)
    return HFGenerator(make_qwen3(len(tokenizer)), tokenizer, max_model_len=96)


def prompts(n: int, vocab: int, seed: int = 0) -> list[list[int]]:
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 30, (n,), generator=rng).tolist()
    return [torch.randint(8, vocab, (length,), generator=rng).tolist() for length in lengths]


def test_seeded_request_does_not_depend_on_its_batch(generator):
    asked = [
        generator.request(
            prompt,
            params(seed=i, temperature=0.5 + i % 3 / 2, top_p=0.8 if i % 2 else 1.0, top_k=i % 4 * 5, max_tokens=5 + i),
        )
        for i, prompt in enumerate(prompts(12, generator.vocab_size))
    ]
    together = generator.generate(asked)
    alone = [generator.generate([request])[0] for request in asked]
    backwards = generator.generate(asked[::-1])[::-1]
    for a, b, c in zip(together, alone, backwards, strict=True):
        assert a.token_ids == b.token_ids == c.token_ids
        assert a.log_probs == pytest.approx(b.log_probs, abs=1e-5)


def test_groups_of_one_prompt_share_its_prefill_and_nothing_else(generator):
    """8 responses a prompt, prompts of different lengths, in a mixed order: as if each were asked alone."""
    asked = [
        generator.request(prompt, params(seed=10 * i + j, max_tokens=6 + j))
        for j in range(8)
        for i, prompt in enumerate(prompts(3, generator.vocab_size))
    ]
    shared = generator.generate(asked)
    for a, b in zip(shared, [generator.generate([request])[0] for request in asked], strict=True):
        assert a.token_ids == b.token_ids
        assert a.log_probs == pytest.approx(b.log_probs, abs=1e-5)


def test_other_seed_gives_other_tokens(generator):
    prompt = prompts(1, generator.vocab_size)[0]
    responses = generator.generate([generator.request(prompt, params(seed=s, ignore_eos=True)) for s in range(20)])
    assert len({tuple(r.token_ids) for r in responses}) == 20


def test_a_larger_budget_continues_the_same_stream(generator):
    prompt = prompts(1, generator.vocab_size)[0]
    short, long = (
        generator.generate([generator.request(prompt, params(seed=7, max_tokens=n, ignore_eos=True))])[0]
        for n in (5, 40)
    )
    assert long.token_ids[:5] == short.token_ids


@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
def test_log_probs_are_those_of_a_plain_forward_pass(generator, temperature):
    asked = [
        generator.request(p, params(seed=1, temperature=temperature, top_k=20, max_tokens=12))
        for p in prompts(6, generator.vocab_size)
    ]
    for request, response in zip(asked, generator.generate(asked), strict=True):
        tokens = torch.tensor([request.prompt_ids + response.token_ids])
        with torch.no_grad():
            logits = generator.model(tokens).logits[0, len(request.prompt_ids) - 1 : -1]
        expected = torch.log_softmax(logits / (temperature or 1.0), -1)
        expected = expected.gather(-1, torch.tensor(response.token_ids)[:, None])[:, 0]
        assert response.log_probs == pytest.approx(expected.tolist(), abs=1e-5)
        if temperature == 0:
            assert response.token_ids == logits.argmax(-1).tolist()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_entropies_are_those_of_a_plain_forward_pass(generator, temperature):
    """Whatever top-k keeps, and of the row's own tokens only."""
    asked = [
        generator.request(prompt, params(seed=i, temperature=temperature, top_k=5, max_tokens=4 + i, entropy=i != 2))
        for i, prompt in enumerate(prompts(3, generator.vocab_size))
    ]
    for request, response in zip(asked, generator.generate(asked), strict=True):
        if not request.params.entropy:
            assert response.entropy is None
            continue
        with torch.inference_mode():
            logits = generator.model(torch.tensor([request.prompt_ids + response.token_ids])).logits[0].float()
        drawn_from = logits[len(request.prompt_ids) - 1 : -1] / temperature
        entropies = torch.distributions.Categorical(logits=drawn_from).entropy()
        assert response.entropy == pytest.approx(float(entropies.sum()), rel=1e-4)


def test_rows_end_at_their_own_budget_or_stop_token(generator, tokenizer):
    prompt = prompts(1, generator.vocab_size)[0]
    free = generator.generate([generator.request(prompt, params(seed=3, max_tokens=30, ignore_eos=True))])[0]
    stop = free.token_ids[9]
    first = free.token_ids.index(stop)
    budgets = [1, 4, 30, 30]
    asked = [generator.request(prompt, params(seed=3, max_tokens=n, ignore_eos=True)) for n in budgets[:3]]
    asked.append(generator.request(prompt, params(seed=3, max_tokens=30, ignore_eos=True, stop_token_ids=(stop,))))
    lengths = [len(r.token_ids) for r in generator.generate(asked)]
    assert lengths == [1, 4, 30, first + 1]


def test_the_models_own_generation_config_does_not_enter(tokenizer):
    model = make_qwen3(len(tokenizer))
    asked = params(seed=1, max_tokens=20, ignore_eos=True)
    before = HFGenerator(model, tokenizer, max_model_len=96)
    before = before.generate([before.request([9, 10, 11], asked)])
    model.generation_config.eos_token_id = [before[0].token_ids[3], tokenizer.eos_token_id]
    model.generation_config.repetition_penalty = 3.0
    after = HFGenerator(model, tokenizer, max_model_len=96)
    assert after.generate([after.request([9, 10, 11], asked)]) == before
    # ... except for its stop tokens, where the request does not ignore them.
    stopped = after.generate([after.request([9, 10, 11], dataclasses.replace(asked, ignore_eos=False))])
    assert stopped[0].token_ids == before[0].token_ids[:4]


def test_eos_ends_a_response_and_is_part_of_it(generator, tokenizer):
    asked = [generator.request(p, params(seed=i, max_tokens=60)) for i, p in enumerate(prompts(40, 60))]
    responses = generator.generate(asked)
    ended = [r.token_ids for r in responses if len(r.token_ids) < 60]
    assert ended, "no response met EOS: the test shows nothing"
    assert all(ids[-1] == tokenizer.eos_token_id for ids in ended)
    assert all(tokenizer.eos_token_id not in r.token_ids[:-1] for r in responses)


def draw(logits: torch.Tensor, asked: SamplingParams, n: int) -> torch.Tensor:
    """n tokens drawn from (V,) logits, one per row of a batch."""
    torch.manual_seed(0)
    return Draws([asked] * n)(logits.expand(n, -1), torch.arange(n))


def test_samples_follow_the_softmax():
    logits = torch.randn(40, generator=torch.Generator().manual_seed(1)) * 2
    n, temperature = 200_000, 0.8
    counts = torch.bincount(draw(logits, params(temperature=temperature, max_tokens=1), n), minlength=40).double()
    expected = torch.softmax(logits.double() / temperature, -1) * n
    chi2 = ((counts - expected) ** 2 / expected).sum().item()
    assert chi2 < 39 + 5 * math.sqrt(2 * 39)  # 39 degrees of freedom, five standard deviations


def allowed_by_definition(probs: list[float], top_k: int, top_p: float) -> set[int]:
    """The most probable top_k tokens, then the smallest set of those that reaches top_p of their mass."""
    order = sorted(range(len(probs)), key=lambda i: (-probs[i], i))
    if top_k > 0:
        order = order[:top_k]
    total, mass, kept = sum(probs[i] for i in order), 0.0, set()
    for i in order:
        if top_p < 1 and kept and mass >= top_p * total:
            break
        kept.add(i)
        mass += probs[i]
    return kept


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 9), min_size=2, max_size=12),
    rows=st.lists(st.tuples(st.integers(0, 14), st.floats(0.05, 1.0)), min_size=1, max_size=3),
)
def test_top_k_and_top_p_keep_what_their_definition_keeps(numbers: list[int], rows: list[tuple[int, float]]):
    """Equal weights are common, as they are among bfloat16's logits."""
    logits = torch.tensor(numbers, dtype=torch.float32) / 2
    probs = torch.softmax(logits, -1)
    top_k, top_p = (torch.tensor(values)[:, None] for values in zip(*rows, strict=True))
    kept, ids = keep_top(probs.expand(len(rows), -1), top_k, top_p.double())
    for row, (k, p) in enumerate(rows):
        expected = allowed_by_definition(probs.tolist(), k, p)
        boundary = abs(sum(probs[i] for i in expected) - p) < 1e-6  # the sum's rounding decides there
        assert boundary or set(ids[row, kept[row] > 0].tolist()) == expected
        seen = set(draw(logits, params(top_k=k, top_p=p, max_tokens=1), 64).tolist())
        assert boundary or seen <= expected


@pytest.mark.parametrize(
    ("top_k", "top_p", "count"), [(0, 0.9, 2700), (20, 1.0, 20), (300, 0.5, 150), (3001, 0.1, 300)]
)
def test_many_equal_weights_are_kept_by_their_order(top_k: int, top_p: float, count: int):
    """Also more than are looked at first."""
    weights = torch.ones(2, 3000)
    kept, ids = keep_top(weights, torch.full((2, 1), top_k), torch.full((2, 1), top_p, dtype=torch.float64))
    for row in range(2):
        assert ids[row, kept[row] > 0].tolist() == list(range(count))


def test_rows_that_are_cut_and_rows_that_are_not_draw_as_they_do_alone():
    logits = torch.randn(3, 2000, generator=torch.Generator().manual_seed(1))
    asked = [params(seed=1, max_tokens=1), params(seed=2, top_k=5, max_tokens=1), params(temperature=0, max_tokens=1)]
    together = Draws(asked)(logits, torch.arange(3))
    alone = [Draws([each])(logits[[row]], torch.arange(1))[0] for row, each in enumerate(asked)]
    assert together.tolist() == torch.stack(alone).tolist()


@pytest.mark.parametrize("asked", [params(), params(top_k=5), params(temperature=0)], ids=["all", "cut", "greedy"])
@pytest.mark.parametrize("spoil", [{0: math.nan}, {2100: math.inf}, dict.fromkeys(range(2101), -math.inf)], ids=len)
def test_logits_that_are_not_finite_are_said_to_be_so(asked: SamplingParams, spoil: dict[int, float]):
    logits = torch.zeros(2, 2101)
    logits[0, 7] = -math.inf  # as a model may mask a token
    assert Draws([asked] * 2)(logits, torch.arange(2)).shape == (2,)
    logits[1, list(spoil)] = torch.tensor(list(spoil.values()))
    with pytest.raises(FloatingPointError, match=r"^logits are not finite: .*; if this model is being trained"):
        Draws([asked] * 2)(logits, torch.arange(2))


def test_ids_the_tokenizer_lacks_are_never_drawn(tokenizer):
    torch.manual_seed(0)
    wide = HFGenerator(make_qwen3(len(tokenizer) + 400), tokenizer, max_model_len=96)
    asked = [wide.request([9, 10], params(seed=s, max_tokens=20, ignore_eos=True)) for s in range(20)]
    assert max(t for r in wide.generate(asked) for t in r.token_ids) < len(tokenizer)


@pytest.mark.parametrize(
    "given_params",
    [
        {"temperatur": 1.0},
        {"stop": ["x"]},
        {"repetition_penalty": 1.1},
        {"presence_penalty": 2.5},
        {"min_p": 0.1},
        {"n": 2},
        {"logprobs": 5},
        {"prompt_logprobs": 1},
        {"temperature": -0.1},
        {"top_p": 1.5},
        {"top_k": 2.5},
        {"seed": -1},
        {"max_tokens": "many"},
    ],
)
def test_what_is_not_supported_is_refused_by_name(given_params):
    with pytest.raises(ValueError, match=next(iter(given_params))):
        SamplingParams.parse(given_params, defaults=DEFAULTS)


def test_parameters_of_verls_agent_loops_are_understood():
    parsed = SamplingParams.parse(
        {"temperature": 0, "top_p": 1, "top_k": -1, "repetition_penalty": 1.0, "logprobs": True}, defaults=DEFAULTS
    )
    assert parsed == dataclasses.replace(DEFAULTS, temperature=0.0, logprobs=True)
    assert SamplingParams.parse({"max_new_tokens": 3}, defaults=DEFAULTS).max_tokens == 3
    assert SamplingParams.parse({"max_tokens": 0}, defaults=DEFAULTS).max_tokens == 1


def test_prompt_without_room_names_both_numbers(generator):
    assert generator.request([9] * 95, params(max_tokens=8)).params.max_tokens == 1
    with pytest.raises(ValueError, match=r"96 tokens.*96 tokens"):
        generator.request([9] * 96, params())


@pytest.mark.parametrize("bad", [[], [-1], [10**6]])
def test_impossible_prompts_are_refused(generator, bad):
    with pytest.raises(ValueError):
        generator.request(bad, params())


def test_weights_are_checked(tokenizer):
    source, target = make_qwen3(len(tokenizer), seed=1), make_qwen3(len(tokenizer), seed=2)
    weights = list(source.state_dict().items())
    names = load_weights(target, weights)
    check_complete(target, names)
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))
    with pytest.raises(ValueError, match=r"left out 1 weights.*norm"):
        check_complete(target, names - {"model.norm.weight"})
    with pytest.raises(ValueError, match="'elsewhere'"):
        load_weights(target, [("elsewhere", torch.zeros(1))])
    with pytest.raises(ValueError, match=r"model\.norm\.weight"):
        load_weights(target, [("model.norm.weight", torch.zeros(3))])


@pytest.mark.parametrize("penalty", [1.5, -1.0])
def test_presence_penalty_is_on_the_logits_of_what_the_response_has(penalty):
    """Two rows beside each other, one without penalty; each step against the definition, before the temperature."""
    rows = [params(seed=3, temperature=0.6, max_tokens=30), params(seed=3, temperature=0.6, max_tokens=30)]
    rows[0] = dataclasses.replace(rows[0], presence_penalty=penalty)
    draws, plain = Draws(rows), Draws(rows[1:])
    logits = torch.randn(30, 1, 6, generator=torch.Generator().manual_seed(1)) * 2
    seen: set[int] = set()
    for step in range(30):
        draws(logits[step].repeat(2, 1), torch.arange(2))
        plain(logits[step], torch.arange(1))
        lowered = [float(logits[step, 0, v]) - penalty * (v in seen) for v in range(6)]
        weights = [math.exp(value / 0.6) for value in lowered]
        point, token = float(draws._uniforms[step, 0]) * sum(weights), 0
        while sum(weights[: token + 1]) <= point:
            token += 1
        assert int(draws.token_ids[step, 0]) == token
        seen.add(token)
    assert draws.token_ids[:, 1].tolist() == plain.token_ids[:, 0].tolist() != draws.token_ids[:, 0].tolist()
    unpenalised = torch.log_softmax(logits[:, 0] / 0.6, -1).gather(-1, draws.token_ids[:, :1])[:, 0]
    assert draws.log_probs[:, 0].tolist() == pytest.approx(unpenalised.tolist(), abs=1e-5)
