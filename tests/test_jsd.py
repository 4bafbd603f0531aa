"""The divergence of the distillation loss against its definition, its error bound, its gradient, its memory."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe.zppo.jsd import bucket_error_bound, token_jsd

LN2 = math.log(2.0)
# fp32: a log-prob of -100 has a rounding error of 4e-6. Divergences are of the order of 0.1.
TOLERANCE = 1e-5


def naive(q: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """The definition, on probabilities in fp64; 0 log 0 = 0."""
    m = (p + q) / 2
    return (torch.special.xlogy(p, p / m) + torch.special.xlogy(q, q / m)).nan_to_num(0.0).sum(-1) / 2


def naive_bucketed(q: torch.Tensor, p: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    def merged(x):
        top = x.gather(-1, ids)
        inside = torch.zeros_like(x, dtype=torch.bool).scatter(-1, ids, True)
        return torch.cat([top, x.masked_fill(inside, 0.0).sum(-1, keepdim=True)], -1)

    return naive(merged(q), merged(p))


@st.composite
def models(draw):
    """(student logits, teacher log-probs over the vocabulary, k): from nearly uniform to nearly one token."""
    vocabulary, tokens = draw(st.integers(2, 40)), draw(st.integers(1, 6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    sharpness = [draw(st.sampled_from([0.01, 1.0, 5.0, 30.0, 100.0])) for _ in range(2)]
    student, teacher = (s * torch.randn(tokens, vocabulary, generator=generator) for s in sharpness)
    if draw(st.booleans()):  # a student close to its teacher, where rounding could turn the divergence negative
        student = teacher + 1e-4 * student
    return student, torch.log_softmax(teacher.double(), -1), draw(st.integers(1, vocabulary))


@given(models())
@settings(max_examples=200, deadline=None)
def test_exact_value_is_the_definition(model):
    logits, teacher, _ = model
    want = naive(torch.softmax(logits.double(), -1), teacher.exp())
    got = token_jsd(logits, teacher.float())
    assert torch.allclose(got.jsd.double(), want, atol=TOLERANCE)
    assert (got.jsd >= 0).all() and (got.jsd <= LN2).all()
    assert not got.student_rest.any() and not got.teacher_rest.any()


@given(models())
@settings(max_examples=200, deadline=None)
def test_bucketed_value_is_the_definition_and_its_error_is_bounded(model):
    logits, teacher, k = model
    log_probs, ids = teacher.topk(k)
    got = token_jsd(logits, log_probs.float(), ids.int())
    q, p = torch.softmax(logits.double(), -1), teacher.exp()
    assert torch.allclose(got.jsd.double(), naive_bucketed(q, p, ids), atol=TOLERANCE)
    exact, bucketed = naive(q, p), got.jsd.double()
    rest = (got.student_rest + got.teacher_rest).double()
    bound = bucket_error_bound(got.student_rest, got.teacher_rest).double()
    assert (exact - bucketed >= -TOLERANCE).all()
    assert (exact - bucketed <= bound + TOLERANCE).all()
    assert (bound <= LN2 * rest / 2 + 1e-6).all()
    if k == logits.shape[1]:
        assert torch.allclose(bucketed, exact, atol=TOLERANCE)


def test_both_bounds_are_reached_where_the_models_do_not_overlap_inside_the_bucket():
    p, q = torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([[0.5, 0.0, 0.5]])
    got = token_jsd(q.log(), p.log()[:, :1], torch.tensor([[0]]))
    bound = bucket_error_bound(got.student_rest, got.teacher_rest)
    assert naive(q, p) - got.jsd == pytest.approx(LN2 / 2)
    assert bound == pytest.approx(LN2 / 2)
    assert (got.student_rest, got.teacher_rest) == (pytest.approx(0.5), pytest.approx(0.5))


def test_models_without_overlap_are_ln_2_apart_and_equal_ones_0():
    p, q = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert token_jsd(q.log(), p.log()).jsd == pytest.approx(LN2)
    assert token_jsd(p.log(), p.log()).jsd == 0


@given(models(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_gradient_is_that_of_the_naive_formula(model, whole):
    logits, teacher, k = model
    logits = logits.clamp(-15, 15)  # beyond, autograd's own gradient of the naive formula is not finite
    weights = torch.linspace(-1, 2, len(logits))
    log_probs, ids = teacher.topk(k)
    ours = logits.clone().requires_grad_()
    got = token_jsd(ours, teacher.float()) if whole else token_jsd(ours, log_probs.float(), ids)
    (got.jsd * weights).sum().backward()
    theirs = logits.double().requires_grad_()
    q = torch.softmax(theirs, -1)
    p = teacher.exp().clamp_min(1e-30)
    want = naive(q, p) if whole else naive_bucketed(q, p, ids)
    (want * weights).sum().backward()
    finite = torch.isfinite(theirs.grad)  # autograd's own 0 * inf
    assert finite.float().mean() > 0.5
    if finite.all():
        assert torch.allclose(ours.grad.double(), theirs.grad, atol=TOLERANCE)


@pytest.mark.parametrize("k", [1, 3, 8])
@pytest.mark.parametrize(
    "teacher",
    [
        [0.0] + [-math.inf] * 7,  # one token certain, the bucket and the rest of the top-k empty
        [0.0] * 8,  # verl's filler for the last position: not a distribution, and never in the loss
        [-1e-9] + [-1000.0] * 7,
    ],
)
def test_value_and_gradient_are_finite_at_the_edges(teacher, k):
    for row in ([1e4] + [-1e4] * 7, [-math.inf] * 7 + [0.0], [0.0] * 8):
        logits = torch.tensor([row], requires_grad=True)
        got = token_jsd(logits, torch.tensor([teacher[:k]]), torch.zeros(1, k, dtype=torch.int32) + torch.arange(k))
        got.jsd.sum().backward()
        assert torch.isfinite(got.jsd).all() and 0 <= got.jsd <= LN2
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("k", [None, 4])
def test_chunks_change_nothing_but_the_memory(k):
    torch.manual_seed(0)
    logits, teacher = torch.randn(50, 20), torch.log_softmax(torch.randn(50, 20), -1)
    log_probs, ids = (teacher, None) if k is None else teacher.topk(k)
    results = []
    for elements in (20 * 50, 20 * 7, 1):
        leaf = logits.clone().requires_grad_()
        out = token_jsd(leaf, log_probs, ids, chunk_elements=elements)
        out.jsd.sum().backward()
        results.append((out.jsd, leaf.grad))
    for value, gradient in results[1:]:
        assert torch.allclose(value, results[0][0], atol=1e-6)
        assert torch.allclose(gradient, results[0][1], atol=1e-6)


def test_no_fp32_tensor_over_the_vocabulary_is_larger_than_a_chunk():
    sizes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, (tuple, list)) else [result]:
                if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float32:
                    sizes.append(tensor.numel())
            return result

    logits = torch.randn(64, 100, dtype=torch.bfloat16, requires_grad=True)
    log_probs, ids = torch.log_softmax(torch.randn(64, 100), -1).topk(5)
    with Watch():
        token_jsd(logits, log_probs, ids, chunk_elements=800).jsd.sum().backward()
    assert logits.grad.dtype == torch.bfloat16
    assert max(sizes) <= 800


@pytest.mark.parametrize(
    "shapes",
    [((2, 5), (3, 5), None), ((2, 5), (2, 4), None), ((2, 5), (2, 6), (2, 6)), ((2, 5), (2, 3), (2, 2))],
)
def test_shapes_that_do_not_fit_are_refused(shapes):
    logits, log_probs, ids = shapes
    with pytest.raises(ValueError, match=r"teacher|ids"):
        token_jsd(torch.zeros(logits), torch.zeros(log_probs), None if ids is None else torch.zeros(ids).long())
