"""Algorithm 1 (`recipe.zppo.step`) in one process: models, files and validation around it."""

import asyncio
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError
from torchdata.stateful_dataloader import StatefulDataLoader
from verl.utils.dataset.rl_dataset import collate_fn
from verl.utils.debug import marked_timer
from verl.utils.tracking import Tracking

from recipe.cpu.tensors_on import tensors_on
from recipe.zppo.advantage import two_step_advantage
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ExportError, one_line
from recipe.zppo.local.checkpoint import load_state, remove_state, save_state
from recipe.zppo.local.device import release
from recipe.zppo.local.learner import Learner
from recipe.zppo.local.models import LocalModel
from recipe.zppo.local.validation import validate
from recipe.zppo.local.workers import LocalWorkers
from recipe.zppo.mini_batches import mini_batches, part_numbers, question_weights
from recipe.zppo.on_verl.borrowed import create_rl_dataset, create_rl_sampler
from recipe.zppo.on_verl.questions import QuestionSource
from recipe.zppo.randomness import generator
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.rollout.pipeline import QuestionPipeline
from recipe.zppo.run import metrics as zppo_metrics
from recipe.zppo.run.blotting import blotted
from recipe.zppo.run.event_log import EventLog
from recipe.zppo.run.events import EVENTS_FILE
from recipe.zppo.run.first_look import FirstLook
from recipe.zppo.run.metrics_log import MetricsLog
from recipe.zppo.run.publish import new_building_folder, publish, remove_leftovers
from recipe.zppo.run.rollout_log import RolloutLog
from recipe.zppo.run.status import StatusFile
from recipe.zppo.run.tracker_tables import TableLog
from recipe.zppo.run.trackers import resume_trackers, tracker_environment
from recipe.zppo.run.weights import cast_weights, save_model
from recipe.zppo.step import Step, is_off_policy
from recipe.zppo.types import Group, Question, StepResult


class LocalTrainer:
    """One training run.

    Args:
        models: models by path that are already loaded and never change (teachers): runs of one process share them.
    """

    def __init__(self, config: DictConfig, zppo: ZPPOConfig, models: dict[str, LocalModel] | None = None):
        self.config, self.zppo = config, zppo
        folder = config.trainer.default_local_dir
        os.makedirs(folder, exist_ok=True)
        self.status = StatusFile(os.path.join(folder, "status.json"))
        self.metrics_log = MetricsLog(zppo.logging.metrics_file)
        self.event_log = EventLog(os.path.join(folder, EVENTS_FILE))
        self.rollout_log = RolloutLog(zppo.logging.rollouts_dir, zppo.logging.text_limit)
        self.first_look = FirstLook()
        self.status.write(0, "start")

        rollout = config.actor_rollout_ref.rollout
        context = int(rollout.max_model_len or config.data.max_prompt_length + config.data.max_response_length)
        served_elsewhere = bool(zppo.needs_teacher and zppo.teacher.base_url)
        path = config.actor_rollout_ref.model.path
        self.student = LocalModel.load(path, config, context, student=True, in_thread=served_elsewhere)
        models = {} if models is None else models
        for path in zppo.placed_teachers:
            if path not in models:
                limit = int(zppo.teacher.inference.get("max_model_len") or context)
                models[path] = LocalModel.load(path, config, limit)
        self.teachers = [models[path] for path in zppo.placed_teachers]
        self.workers = LocalWorkers(config, zppo, self.student, self.teachers)
        self.learner = Learner(self.student.model, config, self.student.tokenizer.pad_token_id or 0)

        self.train_data, self.val_data = (self._dataset(split) for split in ("train", "val"))
        self.dataloader = StatefulDataLoader(
            dataset=self.train_data,
            batch_size=config.data.train_batch_size,
            num_workers=0,
            drop_last=True,
            collate_fn=collate_fn,
            sampler=create_rl_sampler(config.data, self.train_data),
        )
        self.questions = QuestionSource(self.train_data, self.dataloader)
        self.buffer = PromptReplayBuffer(zppo.replay.capacity, zppo.threshold, zppo.seed, weights=zppo.replay.weights)
        self.pipeline = QuestionPipeline(self.workers, zppo, config.actor_rollout_ref.rollout.n)
        self.algorithm = Step(
            questions=self.questions,
            roll_out=self._roll_out,
            learn=self._learn,
            buffer=self.buffer,
            num_replay=zppo.num_replayed(config.data.train_batch_size),
            kinds=zppo.kinds,
            dynamic_sampling=zppo.dynamic_sampling,
        )
        steps = config.trainer.total_training_steps
        self.total_steps = int(steps or len(self.dataloader) * config.trainer.total_epochs)
        self.status.total_steps = self.total_steps
        self.step_number = 0

    def step(self) -> dict[str, float]:
        """One step of `recipe.zppo.step`, which calls `_roll_out` and `_learn` below; gives its metrics."""
        self._times: dict[str, float] = {}
        self._update_metrics: dict[str, float] = {}
        outcome = self.algorithm(self.step_number)
        self.event_log.step(outcome, self.zppo, self.train_data.place_of)
        self._keep_books(outcome.result)
        metrics = self._update_metrics | {"zppo/rollouts/files_failed": self.rollout_log.failed}
        metrics["zppo/batch/skipped_updates"] = int(not outcome.trained)
        metrics |= zppo_metrics.step_metrics(outcome.result, outcome.report, self.buffer, self.zppo)
        metrics |= self.questions.metrics() | self._times
        return metrics | {"training/global_step": self.step_number}

    def _roll_out(self, step: int, questions: Sequence[Question], num_new: int) -> StepResult:
        with marked_timer("timing_s/gen", self._times), self.status.stage(step, "generate"):
            self.student.model.eval()
            release(self.student.model.device)
            return self._wait(self.pipeline.run_step(step, questions, num_new))

    def _learn(self, step: int, groups: list[Group]) -> None:
        with marked_timer("timing_s/update_actor", self._times), self.status.stage(step, "update"):
            self._wait(self.student.server.idle())
            self.student.model.train()
            release(self.student.model.device)
            with tensors_on(self.student.model.device):
                self._update_metrics = self._update(groups, step) if groups else {}

    def _update(self, groups: list[Group], step: int) -> dict[str, float]:
        rollouts = [(rollout, group.uid) for group in groups for rollout in group.rollouts]
        batch = [self.workers.trajectories[rollout.key] for rollout, _ in rollouts]
        uids = [uid for _, uid in rollouts]
        draw = generator(self.zppo.seed, "mini-batches", step)
        parts = mini_batches(uids, self.zppo.updates_per_step, self.zppo.mini_batches, draw)
        if self.zppo.distillation.mode != "none":
            teacher, topk = self.teachers[0].model, self.zppo.distillation.topk
            weights = None
            if is_off_policy(groups[0]):
                weights = question_weights(uids, [len(row.response_ids) - row.loss_from for row in batch], parts)
            return self.learner.distillation_update(batch, teacher, parts, topk=topk, weights=weights)
        advantages = two_step_advantage(
            np.array([rollout.reward for rollout, _ in rollouts]),
            uids,
            self.zppo.advantage_norm,
            self.zppo.advantage_eps,
            mini_batches=part_numbers(parts) if self.zppo.advantage_statistics == "mini_batch" else None,
        )
        return self.learner.policy_update(batch, advantages, parts)

    def fit(self) -> None:
        """All steps, from the last checkpoint if there is one; then the model as a Hugging Face checkpoint."""
        with asyncio.Runner() as runner:
            self._wait = runner.run
            try:
                self._fit()
            finally:
                self.pipeline.tasks.cancel_all()  # whoever still asks would open again what is closed
                self._wait(self.workers.close())

    def _fit(self) -> None:
        trainer = self.config.trainer
        if trainer.resume_mode == "disable":
            remove_state(self)  # or a later start would take up the run before this one
        else:
            self._wait(load_state(self))
        for log in (self.metrics_log, self.event_log):
            log.resume(self.step_number, trains=not trainer.val_only)
        self.tracking = self._trackers()
        if trainer.val_before_train and (self.step_number == 0 or trainer.val_only):
            self.tracking.log(self._validate(), step=self.step_number)
        if trainer.val_only:  # as in verl
            return self._finish()
        while self.step_number < self.total_steps:
            self.step_number += 1
            started, used = time.monotonic(), time.process_time()
            metrics = self.step()
            metrics["timing_s/step"] = time.monotonic() - started
            metrics["timing_s/processor"] = time.process_time() - used
            last = self.step_number == self.total_steps
            if trainer.test_freq > 0 and (last or self.step_number % trainer.test_freq == 0):
                with marked_timer("timing_s/testing", metrics):
                    metrics |= self._validate()
            self.tracking.log(metrics, step=self.step_number)
            if trainer.save_freq > 0 and (last or self.step_number % trainer.save_freq == 0):
                with self.status.stage(self.step_number, "checkpoint"):
                    self.rollout_log.flush()
                    save_state(self)
                self.event_log.checkpointed(self.step_number)
        if self.zppo.export.hf_model:
            self._export()
        self._finish()

    def _trackers(self) -> Tracking:
        """verl's loggers, and our metrics file as one of them."""
        trainer = self.config.trainer
        with tracker_environment(self.config):
            tracking = Tracking(
                trainer.project_name,
                trainer.experiment_name,
                default_backend=trainer.logger,
                config=OmegaConf.to_container(blotted(self.config), resolve=True),
            )
        resume_trackers(tracking, self.config, self.step_number)
        tracking.logger |= {"zppo_metrics_file": self.metrics_log, "zppo_events": self.event_log}
        tracking.logger["zppo_tables"] = TableLog(
            tracking.logger,
            Path(self.config.trainer.default_local_dir, EVENTS_FILE),
            self.rollout_log,
            trainer.test_freq,
            self.total_steps,
        )
        return tracking

    def _finish(self) -> None:
        self.rollout_log.close()
        self.tracking.finish()
        self.metrics_log.finish()
        self.event_log.finish()
        self.status.write(self.total_steps, "done")

    def _validate(self) -> dict[str, float]:
        self.status.write(self.step_number, "validate")
        self.student.model.eval()
        decoding = self.config.actor_rollout_ref.rollout.val_kwargs
        return self._wait(validate(self.val_data, self.workers, decoding))

    def _keep_books(self, result: StepResult) -> None:
        self.rollout_log.write(result)
        self.first_look(result)
        self.workers.trajectories.clear()

    def _export(self) -> None:
        """Raises `ExportError` if it can't be written: after training, whose checkpoint is there."""
        self.status.write(self.total_steps, "export")
        place, student = Path(self.config.trainer.default_local_dir, "hf_model"), self.student
        try:
            remove_leftovers(place)
            folder = new_building_folder(place)
            try:
                save_model(student.model.eval(), student.generation_config, folder)
                student.tokenizer.save_pretrained(folder)
                cast_weights(folder)
                publish(folder, place)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, SafetensorError) as error:
            raise ExportError(
                f"{place} can't be written ({one_line(error)}); see that the disk has room and takes files, then the "
                "same command writes it from the last checkpoint"
            ) from error

    def _dataset(self, split: str) -> Any:
        data = self.config.data
        samples = data.get(f"{split}_max_samples", -1)
        files = data[f"{split}_files"]
        return create_rl_dataset(files, data, self.student.tokenizer, None, split == "train", max_samples=samples)
