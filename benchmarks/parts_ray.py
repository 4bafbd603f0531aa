"""Ray and TransferQueue in the trainer's process: rollouts that stream in, and what the trainer reads and deletes.

A local Ray with one worker. CPU time is that of the trainer's process with all its threads; worker, raylet and storage
are other processes. A slice of the groups is run and scaled.
"""

from __future__ import annotations

import asyncio
import logging

import ray
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from tensordict import TensorDict

from benchmarks.measure import Parts
from benchmarks.paper_step import GROUP_SIZE, NUM_ROLLOUTS, PROMPT_TOKENS, RESPONSE_TOKENS, PaperStep
from recipe.zppo.types import Group

NUM_GROUPS = 48


@ray.remote(max_concurrency=1000)
class Worker:
    """Streams the rollouts of a group back, as the agent-loop workers do."""

    def __init__(self, group: Group):
        self.rollouts = group.rollouts

    async def roll_out(self, data: dict, messages: list[dict]):
        for rollout in self.rollouts:
            await asyncio.sleep(0)
            yield rollout

    def ready(self) -> bool:
        return True


def measure_ray(parts: Parts, step: PaperStep) -> None:
    ray.init(num_cpus=4, include_dashboard=False, object_store_memory=10**9, logging_level=logging.WARNING)
    try:
        _measure_streams(parts, step)
        _measure_transfer_queue(parts)
    finally:
        ray.shutdown()


def _measure_streams(parts: Parts, step: PaperStep) -> None:
    worker = Worker.remote(step.plain[0])
    ray.get(worker.ready.remote())

    async def receive(question) -> int:
        stream = worker.roll_out.options(num_returns="streaming").remote(question.data, question.messages)
        return len([await reference async for reference in stream])

    async def receive_all(questions) -> int:
        return sum(await asyncio.gather(*map(receive, questions)))

    asyncio.run(receive_all(step.questions[:2]))
    scale = NUM_ROLLOUTS / NUM_GROUPS / GROUP_SIZE
    note = f"{NUM_GROUPS * GROUP_SIZE} of {NUM_ROLLOUTS:,} rollouts, scaled; in the shadow of generation"
    with parts.part("Ray: rollouts stream in", "trainer", scale=scale, note=note) as part:
        assert asyncio.run(receive_all(step.questions[:NUM_GROUPS])) == NUM_GROUPS * GROUP_SIZE
    part.peak_mb /= scale  # rollouts of the slice, of which the step's are listed elsewhere


def _measure_transfer_queue(parts: Parts) -> None:
    rows = NUM_GROUPS * GROUP_SIZE
    scale = NUM_ROLLOUTS / rows
    tq.init(OmegaConf.create({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}}))
    try:
        keys = [f"1.{i // GROUP_SIZE:05d}.plain_{i % GROUP_SIZE}_0" for i in range(NUM_ROLLOUTS)]
        tag = {"status": "finished", "seq_len": RESPONSE_TOKENS + PROMPT_TOKENS, "is_padding": False}
        tag |= {"min_global_steps": 1, "max_global_steps": 1, "prompt_len": PROMPT_TOKENS, "response_len": 12_288}

        def column(width: int, dtype: torch.dtype) -> torch.Tensor:
            return torch.nested.as_nested_tensor([torch.ones(width, dtype=dtype)] * rows, layout=torch.jagged)

        fields = TensorDict(
            {
                "prompts": column(PROMPT_TOKENS, torch.int64),
                "responses": column(RESPONSE_TOKENS, torch.int64),
                "response_mask": column(RESPONSE_TOKENS, torch.int64),
                "rm_scores": column(RESPONSE_TOKENS, torch.float32),
                "old_log_probs": column(RESPONSE_TOKENS, torch.float32),
                "rollout_log_probs": column(RESPONSE_TOKENS, torch.float32),
            },
            batch_size=rows,
        )
        tq.kv_batch_put(keys=keys[:rows], fields=fields, tags=[tag] * rows, partition_id="train")
        small = TensorDict({"uid": torch.zeros(NUM_ROLLOUTS - rows, 1)}, batch_size=NUM_ROLLOUTS - rows)
        tq.kv_batch_put(keys=keys[rows:], fields=small, tags=[tag] * (NUM_ROLLOUTS - rows), partition_id="train")

        with parts.part("TransferQueue: list all keys", note=f"{NUM_ROLLOUTS:,} keys with their tags"):
            assert len(tq.kv_list("train")["train"]) == NUM_ROLLOUTS
        note = f"{rows} of {NUM_ROLLOUTS:,} rows, scaled"
        estimator = ["response_mask", "rm_scores", "rollout_log_probs", "old_log_probs"]
        metrics = ["prompts", "responses", "response_mask", "rm_scores", "old_log_probs", "rollout_log_probs"]
        with parts.part("verl: TransferQueue, read for the estimator", "verl", scale=scale, note=note):
            tq.kv_batch_get(keys=keys[:rows], partition_id="train", select_fields=estimator)
        written = TensorDict({name: fields["rm_scores"] for name in ("advantages", "returns")}, batch_size=rows)
        with parts.part("verl: TransferQueue, write advantages", "verl", scale=scale, note=note):
            tq.kv_batch_put(keys=keys[:rows], partition_id="train", fields=written)
        with parts.part("verl: TransferQueue, read for metrics", "verl", scale=scale, note=note):
            tq.kv_batch_get(keys=keys[:rows], partition_id="train", select_fields=metrics)
        with parts.part("verl: TransferQueue, clear", "verl", note=f"{NUM_ROLLOUTS:,} keys"):
            tq.kv_clear(keys=keys, partition_id="train")
    finally:
        tq.close()
