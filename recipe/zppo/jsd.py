"""Per-token Jensen-Shannon divergence of student and teacher: exact, or from the teacher's top-k with one bucket.

    JSD(p, q) = 1/2 KL(p || m) + 1/2 KL(q || m),   m = (p + q) / 2,   natural logarithm, so 0 <= JSD <= ln 2

p is the teacher, q the student. Where the teacher gives its k most probable tokens only, the tokens left over become
one bucket in both distributions, with masses p_rest and q_rest.

Error of the bucket. Merging outcomes is a map on the sample space, so it can only lower the divergence. By the chain
rule what is lost is (p_rest + q_rest)/2 times the Jensen-Shannon divergence, with weights p_rest and q_rest (over their
sum), of the two distributions inside the bucket. That divergence is at most the entropy H2 of its weights, hence

    0 <= exact - bucketed <= (p_rest + q_rest)/2 * H2(p_rest / (p_rest + q_rest)) <= ln 2 * (p_rest + q_rest) / 2

with H2(w) = -w ln w - (1-w) ln(1-w). Both bounds are reached (a bucket inside of which the two do not overlap), and the
bucket costs nothing where either model leaves it empty.
"""

import math
from typing import Any, NamedTuple

import torch

CHUNK_ELEMENTS = 2**25
"""Elements of one fp32 temporary over the vocabulary (128 MiB); tokens are worked through in chunks of that size."""

_FLOOR = -200.0
"""Log-probabilities are raised to this, whose probability is 0 in fp32: log 0 then never meets a product with 0."""

_LN2 = math.log(2.0)


class TokenJSD(NamedTuple):
    """All (N,), fp32. Only ``jsd`` carries a gradient, to the student's logits."""

    jsd: torch.Tensor
    student_rest: torch.Tensor
    """Mass of the student outside the teacher's top-k."""
    teacher_rest: torch.Tensor


def token_jsd(
    student_logits: torch.Tensor,
    teacher_log_probs: torch.Tensor,
    teacher_ids: torch.Tensor | None = None,
    *,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> TokenJSD:
    """The divergence at each of N positions.

    Args:
        student_logits: (N, V), of any floating type; already divided by the temperature.
        teacher_log_probs: (N, K), normalised over the whole vocabulary; -inf stands for probability 0.
        teacher_ids: (N, K) tokens that they belong to, distinct within a row. None: the whole vocabulary in order.
        chunk_elements: bounds fp32 temporaries, which have V columns. They change the memory, not the result.

    Raises:
        ValueError: shapes that do not fit.
    """
    if student_logits.dim() != 2 or teacher_log_probs.dim() != 2 or len(student_logits) != len(teacher_log_probs):
        raise ValueError(
            f"expected logits (N, V) and teacher log-probs (N, K), got {tuple(student_logits.shape)} and "
            f"{tuple(teacher_log_probs.shape)}"
        )
    vocabulary, width = student_logits.shape[1], teacher_log_probs.shape[1]
    if width > vocabulary or (teacher_ids is None and width != vocabulary):
        raise ValueError(f"the teacher gives {width} log-probs a token, the student's vocabulary has {vocabulary}")
    if teacher_ids is not None and teacher_ids.shape != teacher_log_probs.shape:
        raise ValueError(f"{tuple(teacher_ids.shape)} ids for {tuple(teacher_log_probs.shape)} log-probs")
    chunk = max(1, chunk_elements // max(1, vocabulary))
    return TokenJSD(*_BucketedJSD.apply(student_logits, teacher_log_probs, teacher_ids, chunk))


def bucket_error_bound(student_rest: torch.Tensor, teacher_rest: torch.Tensor) -> torch.Tensor:
    """What the bucketed divergence may lack of the exact one, at most: the tighter of the two bounds above."""
    total = (student_rest + teacher_rest).clamp_min(torch.finfo(torch.float32).tiny)
    weight = teacher_rest / total
    entropy = -(torch.special.xlogy(weight, weight) + torch.special.xlogy(1 - weight, 1 - weight))
    return (student_rest + teacher_rest) / 2 * entropy.clamp_min(0.0)


class _BucketedJSD(torch.autograd.Function):
    """Written out by hand, as autograd would keep several (N, V) tensors in fp32 for the backward pass.

    With m = (p + q)/2 the derivative by a probability is g = dJSD/dq = 1/2 log(q/m), one number for the whole bucket,
    and through the softmax dJSD/dz_j = q_j (g_j - sum_b q_b g_b), the sum over top-k tokens and bucket.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: torch.Tensor,
        teacher_log_probs: torch.Tensor,
        teacher_ids: torch.Tensor | None,
        chunk: int,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        ctx.save_for_backward(logits, teacher_log_probs, teacher_ids)
        ctx.chunk = chunk
        size = len(logits)
        result = logits.new_empty((3, size), dtype=torch.float32)
        for start in range(0, size, chunk):
            rows = slice(start, start + chunk)
            part = _Chunk(logits[rows], teacher_log_probs[rows], None if teacher_ids is None else teacher_ids[rows])
            p, q = part.p.exp(), part.q.exp()
            terms = p * (part.p - part.m) + q * (part.q - part.m)
            result[0, rows] = (terms.sum(-1) / 2).clamp(0.0, _LN2)
            result[1, rows], result[2, rows] = q[:, -1], p[:, -1]
        jsd, student_rest, teacher_rest = result.unbind()
        ctx.mark_non_differentiable(student_rest, teacher_rest)
        return jsd, student_rest, teacher_rest

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor, *_: Any) -> tuple[torch.Tensor, None, None, None]:
        logits, teacher_log_probs, teacher_ids = ctx.saved_tensors
        result = torch.empty_like(logits)
        for start in range(0, len(logits), ctx.chunk):
            rows = slice(start, start + ctx.chunk)
            ids = None if teacher_ids is None else teacher_ids[rows]
            part = _Chunk(logits[rows], teacher_log_probs[rows], ids)
            by_probability = (part.q - part.m) / 2
            mean = (part.q.exp() * by_probability).sum(-1, keepdim=True)
            slope = (by_probability - mean) * grad[rows, None]
            # The student's probabilities, (n, V) fp32: the bucket's slope for everyone, then their own for the tokens
            # that have one.
            every = (part.logits - part.norm).exp_()
            if ids is None:
                every *= slope[:, :-1]
            else:
                own = every.gather(-1, part.ids) * slope[:, :-1]
                every *= slope[:, -1:]
                every.scatter_(-1, part.ids, own)
            result[rows] = every
        return result, None, None, None


class _Chunk:
    """Log-probabilities (n, K + 1) of some tokens, the bucket last: ``p`` teacher, ``q`` student, ``m`` their mean."""

    def __init__(self, logits: torch.Tensor, teacher_log_probs: torch.Tensor, teacher_ids: torch.Tensor | None):
        self.logits = logits.float()
        self.norm = torch.logsumexp(self.logits, dim=-1, keepdim=True)
        teacher = teacher_log_probs.float()
        self.ids = None if teacher_ids is None else teacher_ids.long()
        nothing = teacher.new_full((len(teacher), 1), _FLOOR)
        if self.ids is None:
            student, student_rest, teacher_rest = self.logits - self.norm, nothing, nothing
        else:
            student = self.logits.gather(-1, self.ids) - self.norm
            if teacher.shape[1] == logits.shape[1]:
                student_rest = teacher_rest = nothing
            else:
                # Summed over the tokens outside, not 1 - (sum of the others): exact also where almost nothing is left.
                outside = self.logits.scatter(-1, self.ids, -math.inf)
                student_rest = torch.logsumexp(outside, dim=-1, keepdim=True) - self.norm
                teacher_rest = torch.log((1 - teacher.double().exp().sum(-1, keepdim=True)).clamp_min(0.0)).float()
        self.p = torch.cat([teacher, teacher_rest], dim=-1).clamp_min(_FLOOR)
        self.q = torch.cat([student, student_rest], dim=-1).clamp_min(_FLOOR)
        self.m = torch.logaddexp(self.p, self.q) - _LN2
