"""Accuracy on the validation files, under verl's metric names."""

import asyncio
import logging
from collections import defaultdict
from typing import Any

from recipe.cpu.hf_sampling import SamplingParams
from recipe.zppo.errors import JudgeError, RolloutError
from recipe.zppo.judge import with_question
from recipe.zppo.local.workers import LocalWorkers
from recipe.zppo.randomness import derive_seed
from recipe.zppo.run.metrics import validation_counts

logger = logging.getLogger(__name__)


async def validate(dataset: Any, workers: LocalWorkers, decoding: Any) -> dict[str, float]:
    """Mean accuracy of ``decoding.n`` responses to each question, by data source (``val-core/<source>/acc/mean@<n>``).

    Args:
        dataset: a `ZPPODataset`.
        decoding: ``actor_rollout_ref.rollout.val_kwargs``.
    """
    samples = int(decoding.n)
    params = SamplingParams(
        temperature=float(decoding.temperature) if decoding.do_sample else 0.0,
        top_p=float(decoding.top_p),
        top_k=max(0, int(decoding.top_k)),
        max_tokens=workers.response_length,
        presence_penalty=workers.zppo.validation.presence_penalty,
    )
    rows, asked, requests = [dataset[i] for i in range(len(dataset))], [], []
    for row in rows:
        prompt_ids = workers.prompt_ids(list(row["raw_prompt"]))
        for session in range(samples):
            seed = derive_seed(workers.zppo.seed, "validation", row["prompt_id"], session)
            asked.append(row)
            requests.append(workers.request(prompt_ids, params, seed))
    responses = await workers.student.server.generate(requests)
    texts = [workers.tokenizer.decode(response.token_ids, skip_special_tokens=True) for response in responses]
    grading = (workers.grade(with_question(row), text, validation=True) for row, text in zip(asked, texts, strict=True))
    graded = await asyncio.gather(*grading, return_exceptions=True)
    scores: dict[str, list[float]] = defaultdict(list)
    failures = []
    for row, result in zip(asked, graded, strict=True):
        if isinstance(result, JudgeError):
            failures.append(result)
        elif isinstance(result, BaseException):
            raise result
        else:
            scores[row["data_source"]].append(result[0])
    if failures:
        logger.error("validation: %s of %s responses have no verdict: %s", len(failures), len(texts), failures[0])
    if len(failures) * 2 > len(texts):
        raise RolloutError(f"validation: {len(failures)} of {len(texts)} responses failed: {failures[0]}")
    metrics = {"zppo/validation/unjudged": len(failures)} if workers.zppo.judge.enable else {}
    metrics |= {f"val-core/{source}/acc/mean@{samples}": sum(values) / len(values) for source, values in scores.items()}
    return metrics | validation_counts([row["data_source"] for row in rows], [row["prompt_id"] for row in rows], None)
