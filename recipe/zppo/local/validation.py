"""Accuracy on the validation files, under verl's metric names."""

import asyncio
import logging
from collections import defaultdict
from typing import Any

from recipe.cpu.hf_requests import Request
from recipe.cpu.hf_sampling import SamplingParams
from recipe.zppo.errors import JudgeError, PromptTooLongError, RolloutError
from recipe.zppo.judge import Grade, with_question
from recipe.zppo.local.batching import GenerationError
from recipe.zppo.local.workers import LocalWorkers
from recipe.zppo.randomness import derive_seed
from recipe.zppo.run.metrics import validation_counts

logger = logging.getLogger(__name__)


async def validate(dataset: Any, workers: LocalWorkers, decoding: Any) -> dict[str, float]:
    """Mean accuracy of ``decoding.n`` responses to each question, by data source (``val-core/<source>/acc/mean@<n>``).

    A question that does not fit the context, or of which a response fails or has no verdict, is left out, logged and
    counted.

    Args:
        dataset: a `ZPPODataset`.
        decoding: ``actor_rollout_ref.rollout.val_kwargs``.

    Raises:
        RolloutError: more than half of the questions failed.
        RewardFunctionError: see `LocalWorkers.grade`.
    """
    samples = int(decoding.n)
    params = SamplingParams(
        temperature=float(decoding.temperature) if decoding.do_sample else 0.0,
        top_p=float(decoding.top_p),
        top_k=max(0, int(decoding.top_k)),
        max_tokens=workers.response_length,
        presence_penalty=workers.zppo.validation.presence_penalty,
    )
    rows = [dataset[i] for i in range(len(dataset))]
    failed: dict[int, Exception] = {}  # by place of the question, as all below
    asked, requests = [], []
    for place, row in enumerate(rows):
        try:
            prompt_ids = workers.prompt_ids(list(row["raw_prompt"]))
        except PromptTooLongError as error:
            failed[place] = error
            continue
        for session in range(samples):
            seed = derive_seed(workers.zppo.seed, "validation", row["prompt_id"], session)
            asked.append(place)
            requests.append(workers.request(prompt_ids, params, seed))

    async def answered(place: int, request: Request) -> Grade:
        (response,) = await workers.student.server.generate([request])
        text = workers.tokenizer.decode(response.token_ids, skip_special_tokens=True)
        return await workers.grade(with_question(rows[place]), text, validation=True)

    graded = await asyncio.gather(*map(answered, asked, requests), return_exceptions=True)
    rewards: dict[int, list[float]] = defaultdict(list)
    for place, result in zip(asked, graded, strict=True):
        if isinstance(result, (GenerationError, JudgeError)):
            failed[place] = result
        elif isinstance(result, BaseException):
            raise result
        else:
            rewards[place].append(result.reward)
    if failed:
        first = failed[min(failed)]
        logger.error("validation: %s of %s prompts failed, the first: %s", len(failed), len(rows), first)
        if len(failed) * 2 > len(rows):
            raise RolloutError(f"validation: {len(failed)} of {len(rows)} prompts failed: {first}")
    metrics: dict[str, float] = {"zppo/validation/failed": len(failed)}
    if workers.zppo.judge.enable:
        metrics["zppo/validation/unjudged"] = sum(isinstance(error, JudgeError) for error in failed.values())
    scores: dict[str, list[float]] = defaultdict(list)
    kept = [place for place in range(len(rows)) if place not in failed]
    for place in kept:
        scores[rows[place]["data_source"]] += rewards[place]
    metrics |= {f"val-core/{source}/acc/mean@{samples}": sum(values) / len(values) for source, values in scores.items()}
    sources, uids = ([rows[place][key] for place in kept] for key in ("data_source", "prompt_id"))
    return metrics | validation_counts(sources, uids, None)
