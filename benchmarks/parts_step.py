"""What happens in the trainer's process once a step, apart from the buffer."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from unittest.mock import patch

import datasets
import numpy as np
import pandas as pd
import torch
from omegaconf import OmegaConf
from verl.utils.dataset.rl_dataset import collate_fn

from benchmarks.instant_workers import InstantWorkers, paper_pipeline
from benchmarks.measure import MB, Parts
from benchmarks.paper_step import (
    FRACTION,
    GROUP_SIZE,
    NUM_NEW,
    NUM_REPLAYED,
    NUM_ROLLOUTS,
    RESPONSE_TOKENS,
    THRESHOLD,
    PaperStep,
    uids,
)
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.on_verl.dataset import ZPPODataset
from recipe.zppo.on_verl.estimator import compute_zppo_advantage
from recipe.zppo.on_verl.questions import QuestionSource
from recipe.zppo.replay_buffer import PromptReplayBuffer, UpdateReport
from recipe.zppo.rollout.pipeline import QuestionPipeline, StepResult
from recipe.zppo.run import metrics as zppo_metrics
from recipe.zppo.run.rollout_log import RolloutLog
from recipe.zppo.selection import reformulation_cap
from recipe.zppo.streaming_selection import StreamingSelection


def measure_questions(parts: Parts, step: PaperStep, tokenizer) -> None:
    """The step's questions from a real data set: new ones through the data loader, replayed ones by their row."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "train.parquet")
        row = step.questions[0].data
        prompt = [dict(message) for message in row["raw_prompt"]]
        rows = [
            {"prompt": prompt, "reward_model": row["reward_model"], "data_source": "synthetic", "prompt_id": f"p{i}"}
            for i in range(4 * NUM_NEW)
        ]
        pd.DataFrame(rows).to_parquet(path)
        datasets.disable_progress_bars()
        config = OmegaConf.create({"filter_overlong_prompts": False, "cache_dir": folder})
        with patch.object(datasets.config, "HF_DATASETS_CACHE", folder):
            dataset = ZPPODataset(path, tokenizer, config)
        loader = torch.utils.data.DataLoader(dataset, NUM_NEW, shuffle=True, collate_fn=collate_fn)
        buffer = PromptReplayBuffer(10_000, THRESHOLD, seed=0)
        buffer.update(1, [(f"p{i}", 0.0, i) for i in range(4 * NUM_NEW)])
        source = QuestionSource(dataset, loader)
        with parts.part("questions: rows of the data set", note="text only, in the trainer's process"):
            questions, _ = source.next_step(buffer, NUM_REPLAYED)
        assert len(questions) == NUM_NEW + NUM_REPLAYED


def measure_selection(parts: Parts, step: PaperStep) -> None:
    """All events of a step in random order: each rollout, each finished group, each teacher answer."""
    selection = StreamingSelection(
        [question.prompt_id for question in step.questions],
        group_size=GROUP_SIZE,
        threshold=THRESHOLD,
        cap=reformulation_cap(FRACTION, NUM_NEW),
        seed=0,
        step=1,
    )
    events = [(group, rollout) for group in step.plain for rollout in group.rollouts]
    random.Random(0).shuffle(events)
    left = Counter({group.question.prompt_id: GROUP_SIZE for group in step.plain})
    with parts.part("selection, streaming", times=0, note=f"{len(events):,} rollouts; part of the pipeline below"):
        for group, rollout in events:
            name = group.question.prompt_id
            selection.rollout(name, rollout.correct)
            left[name] -= 1
            if not left[name] and selection.plain_done(name, group.num_correct, GROUP_SIZE):
                selection.teacher_done(name, len(step.teacher[name].correct))
            selection.newly_accepted()
    assert selection.finished


def measure_pipeline(parts: Parts, step: PaperStep, save_freq: int) -> StepResult:
    """The real pipeline on workers that answer at once. It runs while others generate; all of it is counted."""

    async def run(schedule: str) -> tuple[QuestionPipeline, StepResult]:
        pipeline = paper_pipeline(InstantWorkers(step), schedule=schedule)
        result = await pipeline.run_step(1, step.questions, NUM_NEW)
        await asyncio.sleep(0.2)
        return pipeline, result

    with parts.part("pipeline: tasks, selection, candidates, prompts", note="in the shadow of generation"):
        _, result = asyncio.run(run("same_step"))
    assert len(result.plain) == len(step.questions) and len(result.reformulated) == 96

    pipeline, _ = asyncio.run(run("next_step"))
    often = f"next_step only, every {save_freq} steps"
    with parts.part("pipeline: state of pending work", times=1 / save_freq, note=often):
        state = pipeline.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pending.pt")
        with parts.part("pipeline: torch.save of it", times=1 / save_freq) as part:
            torch.save(state, path)
        part.note = f"{often}, {os.path.getsize(path) / MB:.0f} MB"
    return StepResult(
        step=1,
        plain=step.plain,
        reformulated=step.reformulated,
        teacher=step.teacher,
        source_step=result.source_step,
        source_plain=result.source_plain,
        counts=result.counts,
        seconds=result.seconds,
    )


def measure_estimator(parts: Parts, step: PaperStep) -> None:
    """The estimator on the padded batch in full."""
    rewards = torch.zeros(NUM_ROLLOUTS, RESPONSE_TOKENS)
    rewards[:, -1] = torch.tensor([rollout.reward for group in step.groups for rollout in group.rollouts])
    mask = torch.ones(NUM_ROLLOUTS, RESPONSE_TOKENS, dtype=torch.int64)
    index = uids(step)
    with parts.part("advantage estimator", note=f"{NUM_ROLLOUTS:,} x {RESPONSE_TOKENS:,}; its result is 216 MB"):
        advantages, _ = compute_zppo_advantage(rewards, mask, index)
    assert np.isclose(float(advantages[:, 0].mean()), 0.0, atol=0.1)


def measure_records(parts: Parts, result: StepResult) -> None:
    """Metrics and the rollout file."""
    buffer, config = PromptReplayBuffer(10_000, THRESHOLD, seed=0), ZPPOConfig()
    with parts.part("step metrics"):
        zppo_metrics.step_metrics(result, UpdateReport(), buffer, config)
    with tempfile.TemporaryDirectory() as folder:
        log = RolloutLog(folder, config.logging.text_limit)
        with parts.part("rollout log: handing over", clock=time.thread_time):
            log.write(result)
        log.close()
        size = sum(entry.stat().st_size for entry in os.scandir(folder)) / MB
    with tempfile.TemporaryDirectory() as folder:
        log = RolloutLog(folder, config.logging.text_limit)
        with parts.part("rollout log: its thread", "background", note=f"{size:.0f} MB"):
            log.write(result)
            log.close()
