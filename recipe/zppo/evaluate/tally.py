"""A benchmark's numbers, of its lines."""

import statistics
from collections.abc import Sequence
from dataclasses import replace

from recipe.zppo.benchmarks.contract import Benchmark, Scored
from recipe.zppo.benchmarks.grading import JUDGED, METRIC, RULE
from recipe.zppo.evaluate.engines.contract import LENGTH
from recipe.zppo.evaluate.log import Entry, QuestionLog
from recipe.zppo.evaluate.results import MAX_UNANSWERED, BenchmarkResult, ModelResults
from recipe.zppo.evaluate.runner import Asked


def failed(benchmark: Benchmark, error: str) -> BenchmarkResult:
    """A benchmark of which nothing was asked."""
    return BenchmarkResult(
        benchmark.name, benchmark.family.value, benchmark.scoring.value, benchmark.source.dataset, None, error=error
    )


def is_pending(log: QuestionLog, asked: Asked) -> bool:
    """Whether the judge is still to say something."""
    return any(_is_open(log.entries.get(key)) for key in asked.keys)


def _is_open(entry: Entry | None) -> bool:
    return entry is None or (not entry.done and not entry.error)


def result(benchmark: Benchmark, asked: Asked, log: QuestionLog, samples: int) -> BenchmarkResult:
    """Scores are means over samples; more than `MAX_UNANSWERED` of the lines without an answer, and there is none."""
    entries = [log.entries[key] for key in asked.keys]
    done = [entry for entry in entries if entry.done]
    errors = [entry.error for entry in entries if not entry.done]
    base = replace(
        failed(benchmark, errors[0] if errors else ""),
        questions=len({id for id, _ in asked.keys}),
        lines=len(entries),
        answered=len(done),
        unanswered=len(errors),
        cut=sum(entry.finish == LENGTH for entry in done),
        by_rule=sum(entry.decided_by == RULE for entry in done),
        by_metric=sum(entry.decided_by == METRIC for entry in done),
        by_judge=sum(entry.decided_by == JUDGED for entry in done),
        malformed=sum(entry.malformed for entry in done),
        undecided=sum(not entry.decided_by for entry in done),
        tokens=sum(entry.tokens for entry in entries),
        judge_tokens=sum(entry.judge_tokens for entry in entries),
        seconds=round(asked.seconds, 3),
    )
    if len(errors) > MAX_UNANSWERED * len(entries):
        share = f"{len(errors)} of {len(entries)} unanswered, more than {MAX_UNANSWERED:.0%}"
        return replace(base, error=f"{share}; the first one: {errors[0]}")
    scores = [100 * benchmark.aggregate(_scored(asked, log, sample)) for sample in range(samples)]
    return replace(base, score=statistics.fmean(scores), standard_error=_standard_error(scores), sample_scores=scores)


def unanswered(results: ModelResults, names: Sequence[str]) -> str:
    """What is left over in those of the benchmarks that have a score: `AI2D 3, MMMU-P 1`, or nothing."""
    found = [results.benchmarks[name] for name in names if name in results.scores()]
    return ", ".join(f"{each.name} {each.unanswered}" for each in found if each.unanswered)


def _scored(asked: Asked, log: QuestionLog, sample: int) -> list[Scored]:
    found = []
    for id, of in asked.keys:
        score = log.entries[id, of].score
        if of == sample and score is not None:
            found.append(Scored(id, score, asked.categories[id], asked.extras[id]))
    return found


def _standard_error(scores: Sequence[float]) -> float | None:
    return statistics.stdev(scores) / len(scores) ** 0.5 if len(scores) > 1 else None
