"""What happens in the agent-loop workers, a response at a time, while other responses are generated."""

from __future__ import annotations

from functools import partial

from benchmarks.measure import Parts
from benchmarks.paper_step import CANDIDATE_TOKENS, NUM_ROLLOUTS, PaperStep
from recipe.zppo import prompts
from recipe.zppo.candidates import Draft, draw_candidates
from recipe.zppo.compression import Accepted, accept_summary, bounded_tail, parse_summary
from recipe.zppo.methods import METHODS
from recipe.zppo.reward import compute_score, is_correct
from recipe.zppo.sanitize import sanitize
from recipe.zppo.types import Candidate, Group, Kind


def measure_texts(parts: Parts, step: PaperStep, tokenizer) -> None:
    """Responses to text, and the teacher's back to tokens for grading. A slice: all responses are of one length."""
    encode = partial(tokenizer.encode, add_special_tokens=False)
    texts = [rollout.text for group in step.groups[:32] for rollout in group.rollouts]
    tokens = [encode(text) for text in texts]
    note = f"{len(texts)} of {NUM_ROLLOUTS:,}, scaled"
    with parts.part("responses to text", "workers", scale=NUM_ROLLOUTS / len(texts), note=note) as part:
        for ids in tokens:
            tokenizer.decode(ids, skip_special_tokens=True)
    num_teacher = sum(len(answers.rollouts) for answers in step.teacher.values())
    note = f"{len(texts)} of {num_teacher}, scaled"
    with parts.part("teacher responses to tokens", "workers", scale=num_teacher / len(texts), note=note) as encoding:
        for text in texts:
            encode(text)
    part.peak_mb = encoding.peak_mb = 0.0  # of one response at a time, nothing worth naming


def measure_grading(parts: Parts, step: PaperStep) -> None:
    """The reward of each response: every rollout of the student and of the teacher."""
    is_correct.cache_clear()
    compute_score("", "\\boxed{x+1}", "y")  # sympy's first use imports
    graded = [(group.question.prompt_id, rollout) for group in step.groups for rollout in group.rollouts]
    graded += [(name, rollout) for name, answers in step.teacher.items() for rollout in answers.rollouts]
    with parts.part(f"grading {len(graded):,} responses", "workers") as part:
        scores = [compute_score("", rollout.text, step.gold[name])["score"] for name, rollout in graded]
    agreed = sum(score == rollout.reward for score, (_, rollout) in zip(scores, graded, strict=True))
    assert agreed > 0.98 * len(graded)  # a "wrong" answer may be drawn equal: 14/7 and 2
    part.note = f"{is_correct.cache_info().misses:,} different pairs of answers"


def measure_candidates(parts: Parts, step: PaperStep, tokenizer) -> None:
    """Drafts, requests for summaries, their acceptance or the fall-back, and the prompts."""
    special = tuple(tokenizer.all_special_tokens)
    instances = [(group.kind, plain) for plain in step.plain for group in step.reformulated if _same(group, plain)]
    with parts.part("candidates: draw"):
        drawn = [
            draw_candidates(
                plain,
                step.teacher[plain.question.prompt_id].rollouts,
                right=METHODS[kind].needs_help,
                seed=0,
                step=1,
            )
            for kind, plain in instances
        ]
    drafts: dict[tuple, Draft] = {}
    for (_, plain), chosen in zip(instances, drawn, strict=True):
        drafts |= {(plain.question.prompt_id, draft.source, draft.index): draft for draft in chosen}
    with parts.part("candidates: requests for summaries", "workers", note=f"{len(drafts)} drafts made safe"):
        for draft in drafts.values():
            prompts.compression_messages(draft.text, special_tokens=special)

    def count_tokens(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False))

    summaries = {}
    with parts.part("candidates: acceptance", "workers"):
        for (key, draft), reply in zip(drafts.items(), _replies(step, drafts), strict=True):
            accepted = accept_summary(draft.text, parse_summary(reply), 2 * CANDIDATE_TOKENS, count_tokens)
            assert isinstance(accepted, Accepted), accepted
            summaries[key] = sanitize(accepted.text, special)
    with parts.part("candidates: fall-back for all", "workers", note="as if no summary were accepted"):
        for draft in drafts.values():
            sanitize(bounded_tail(draft.text, CANDIDATE_TOKENS, tokenizer), special)
    with parts.part("candidates: prompts", note="in the shadow of generation"):
        for (kind, plain), chosen in zip(instances, drawn, strict=True):
            name = plain.question.prompt_id
            shown = [Candidate(summaries[name, d.source, d.index], d.source, d.correct, "", "teacher") for d in chosen]
            group = Group(name, kind, plain.question, 1, candidates=tuple(shown))
            prompts.with_closer(METHODS[kind].messages(group, plain))


def _same(group, plain) -> bool:
    return group.question is plain.question and group.kind in (Kind.BCQ, Kind.NCQ)


def _replies(step: PaperStep, drafts: dict[tuple, Draft]) -> list[str]:
    """A summary of each draft that ends with its answer."""
    replies = []
    for draft, summary in zip(drafts.values(), step.summaries, strict=False):
        answer = draft.text[draft.text.rindex("\\boxed{") : draft.text.rindex(".")]
        start = summary.rindex("\\boxed{")
        replies.append(f"{summary[:start]}{answer}\n</summary>")
    return replies
