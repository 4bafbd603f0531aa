"""ZPPO on verl's V1 trainer: it connects Algorithm 1 (`recipe.zppo.step`) to verl's servers and engines."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict
from transfer_queue import KVBatchMeta
from verl.single_controller.ray.base import RayResourcePool
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.utils.debug import marked_timer

import recipe.zppo.on_verl.estimator  # noqa: F401  (registers the estimator "zppo" with verl)
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.checkpoint import CheckpointMixin
from recipe.zppo.on_verl.distillation import distillation_loss_fn, put_question_weights
from recipe.zppo.on_verl.export import export_hf_model
from recipe.zppo.on_verl.guards.node_pools import NodePools
from recipe.zppo.on_verl.guards.server_client import ServerClient
from recipe.zppo.on_verl.guards.wait_limit import WaitLimit, not_counted
from recipe.zppo.on_verl.learning_rows import policy_loss_fn
from recipe.zppo.on_verl.pipeline_thread import PipelineThread
from recipe.zppo.on_verl.questions import QuestionSource
from recipe.zppo.on_verl.teacher_servers import TeacherStart
from recipe.zppo.on_verl.text_rewards import use_text_rewards
from recipe.zppo.on_verl.train_batch import BatchTrainer
from recipe.zppo.on_verl.validation_queue import ValidationQueue
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.reward import use_reward
from recipe.zppo.rollout.pipeline import QuestionPipeline
from recipe.zppo.run import metrics as zppo_metrics
from recipe.zppo.run.blotting import blotted
from recipe.zppo.run.event_log import EventLog
from recipe.zppo.run.events import EVENTS_FILE
from recipe.zppo.run.first_look import FirstLook
from recipe.zppo.run.metrics_log import MetricsLog
from recipe.zppo.run.rollout_log import RolloutLog
from recipe.zppo.run.status import StatusFile
from recipe.zppo.run.tracker_tables import TableLog
from recipe.zppo.run.trackers import resume_trackers
from recipe.zppo.step import Step, is_off_policy
from recipe.zppo.teacher.endpoint import EndpointSpec, endpoint_specs
from recipe.zppo.types import Group, Question, StepResult


@register_trainer("zppo")
class ZPPOTrainer(CheckpointMixin, BatchTrainer):
    """verl's synchronous trainer, with `recipe.zppo.step.Step`, Algorithm 1 of the paper, for its step.

    verl runs the servers, the engines, log-probs, loss and validation. Ours are the questions of a step, the
    pipeline that rolls them out (`recipe.zppo.rollout.pipeline`), the prompt replay buffer, and the number of updates.
    """

    def __init__(self, config: DictConfig):
        self.zppo = validate_zppo(config.zppo)
        use_reward(self.zppo)
        os.makedirs(config.trainer.default_local_dir, exist_ok=True)
        self.status = StatusFile(os.path.join(config.trainer.default_local_dir, "status.json"))
        self.metrics_log = MetricsLog(self.zppo.logging.metrics_file)
        self.event_log = EventLog(os.path.join(config.trainer.default_local_dir, EVENTS_FILE))
        self.rollout_log = RolloutLog(self.zppo.logging.rollouts_dir, self.zppo.logging.text_limit)
        self.first_look = FirstLook()
        self.buffer = PromptReplayBuffer(
            self.zppo.replay.capacity, self.zppo.threshold, self.zppo.seed, self.zppo.replay.weights
        )
        self.pipeline: PipelineThread | None = None
        self.pending_state: dict[str, Any] | None = None
        with open_dict(config.algorithm):  # where verl hands its settings to an advantage estimator
            config.algorithm.zppo_advantage_norm = self.zppo.advantage_norm
            config.algorithm.zppo_advantage_eps = self.zppo.advantage_eps
            config.algorithm.zppo_mini_batches = 1  # with statistics of their own; these two are set in each step anew
            config.algorithm.zppo_mini_batch_rows = None  # of one rank
        use_text_rewards(config)
        self.distills = self.zppo.distillation.mode != "none"
        if self.distills:  # old log-probs are in no loss: verl then copies those of the rollout
            config.algorithm.rollout_correction.bypass_mode = True
        super().__init__(config)
        # verl asks for the name "sync" where it means "no asynchronous rollouts"
        self.trainer_mode = "sync"

    # ------------------------------------------------------------------ Algorithm 1

    def step(self, metrics: dict, timing_raw: dict) -> KVBatchMeta:
        """verl's hook: one step of `recipe.zppo.step`, which calls `_roll_out` and `_learn` below."""
        self.step_metrics, self.step_timing = metrics, timing_raw
        outcome = self.algorithm(self.global_steps)
        metrics.update(zppo_metrics.step_metrics(outcome.result, outcome.report, self.buffer, self.zppo))
        metrics.update(self.questions.metrics())
        metrics["zppo/batch/skipped_updates"] = int(not outcome.trained)
        self.event_log.step(outcome, self.zppo, self.train_dataset.place_of)
        self.rollout_log.write(outcome.result)
        metrics["zppo/rollouts/files_failed"] = self.rollout_log.failed
        return self.batch

    def _roll_out(self, step: int, questions: Sequence[Question], num_new: int) -> StepResult:
        with marked_timer("gen", self.step_timing, color="red"), self.status.stage(step, "generate"):
            result = self.pipeline.run_step(step, questions, num_new)
            self.on_sample_end()
        return result

    def _learn(self, step: int, groups: list[Group]) -> None:
        """Advantages and updates by verl's engines; the batch is kept for verl, which clears it."""
        metrics, timing = self.step_metrics, self.step_timing
        with self._limited("the batch"):
            self.batch = batch = self._train_batch(groups)
        if not groups:
            return
        with self._limited("the batch"):
            batch = self._balance_batch(batch, metrics=metrics)
            if is_off_policy(groups[0]):
                put_question_weights(batch, self.parts)
        with marked_timer("old_log_prob", timing, color="blue"), self._engine("log_probs"):
            batch = self._compute_old_log_prob(batch, metrics=metrics)
        if self.use_reference_policy:
            with marked_timer("ref", timing, color="olive"), self._engine("ref_log_probs"):
                batch = self._compute_ref_log_prob(batch, metrics=metrics)
        with marked_timer("adv", timing, color="brown"), self._limited("the advantages"):
            batch = self._compute_advantage(batch, metrics=metrics)
        with marked_timer("update_actor", timing, color="red"), self._engine("update"):
            self.batch = self._update_actor(batch, metrics=metrics)

    def _limited(self, what: str) -> WaitLimit:
        """For calls of verl's that wait for engines, servers or TransferQueue, and have no limit of their own."""
        return WaitLimit(
            self.zppo.timeouts.engine_s,
            f"step {self.global_steps}: {what} did not end",
            "zppo.timeouts.engine_s",
            "One rank or server may have died or hang: see Ray's logs; raise the limit if the work is that long",
        )

    @contextmanager
    def _engine(self, stage: str) -> Iterator[None]:
        """The same, as a stage of the step that displays show."""
        with self.status.stage(self.global_steps, stage), self._limited(stage):
            yield

    # ------------------------------------------------------------------ verl's hooks

    def _setup(self) -> None:
        self.status.write(0, "start")
        super()._setup()
        self.teacher = self.teacher_start.result() if self.teacher_start else None
        if self.distills:
            self.actor_rollout_wg.set_loss_fn(distillation_loss_fn(self.config.actor_rollout_ref.actor))
        if self.skips:
            self.actor_rollout_wg.set_loss_fn(policy_loss_fn(self.config.actor_rollout_ref.actor))

    def _init_resource_pool_mgr(self) -> None:
        """verl's pools, but reserved together with the teacher's, node by node; then the teacher can start."""
        super()._init_resource_pool_mgr()
        self.teacher_start: TeacherStart | None = None

        def start(pool: RayResourcePool) -> None:
            self.teacher_start = TeacherStart(self.config, self.zppo, pool)

        self.resource_pool_manager = NodePools.of(self.resource_pool_manager, self.zppo, start)

    def _init_dataloader(self) -> None:
        with not_counted():  # every picture of the data is measured
            super()._init_dataloader()
        self.status.total_steps = self.total_training_steps
        available = self.steps_per_epoch * self.config.trainer.total_epochs
        if self.total_training_steps > available:  # verl would stop there without a word, and without a checkpoint
            raise ConfigError(
                f"trainer.total_training_steps: {self.total_training_steps} steps need more than the {available} that "
                f"trainer.total_epochs={self.config.trainer.total_epochs} of {len(self.train_dataset)} prompts give; "
                "raise trainer.total_epochs or lower it"
            )
        self.questions = QuestionSource(self.train_dataset, self.train_dataloader)

    def _build_replay_buffer(self) -> ValidationQueue:
        """verl's queue of finished trajectories; training has the pipeline instead, validation goes on using it."""
        self.validation_queue = ValidationQueue(self.config, limit_s=self.zppo.timeouts.validation_s)
        return self.validation_queue

    def get_llm_client(self) -> ServerClient:
        return self.llm_server_manager.get_client(ServerClient)

    def get_teacher_client(self) -> dict[str, ServerClient | EndpointSpec]:
        if self.zppo.needs_teacher and self.zppo.teacher.base_url:
            return endpoint_specs(self.zppo)
        managers = self.teacher.teacher_model_managers if self.teacher else {}
        return {key: ServerClient(self.config, manager.load_balancer_handle) for key, manager in managers.items()}

    def on_train_begin(self) -> None:
        super().on_train_begin()
        self._leave_behind()

    def on_sample_end(self) -> None:
        with self._limited("the servers' falling asleep"):
            super().on_sample_end()

    def on_step_end(self) -> None:
        with self._engine("weights"):
            super().on_step_end()

    def fit(self, agent_loop_manager: Any) -> None:
        pipeline = QuestionPipeline(agent_loop_manager, self.zppo, self.config.actor_rollout_ref.rollout.n)
        self.pipeline = PipelineThread(pipeline, agent_loop_manager)
        self.pipeline.load_state_dict(self.pending_state, self.questions)
        self.algorithm = Step(
            questions=self.questions,
            roll_out=self._roll_out,
            learn=self._learn,
            buffer=self.buffer,
            num_replay=self.zppo.num_replayed(self.config.data.train_batch_size),
            kinds=self.zppo.kinds,
            dynamic_sampling=self.zppo.dynamic_sampling,
        )
        self._unblotted, self.config = self.config, blotted(self.config)  # what fit() gives to trackers; see `logger`
        try:
            super().fit(agent_loop_manager)
            self.rollout_log.close()
            if self.zppo.export.hf_model and not self.config.trainer.get("val_only", False):
                self.status.write(self.total_training_steps, "export")
                export_hf_model(self.config.trainer.default_local_dir, self.config.actor_rollout_ref.actor.strategy)
            self.status.write(self.total_training_steps, "done")
        finally:
            self.pipeline.close()

    @property
    def logger(self) -> Any:
        return self._logger

    @logger.setter
    def logger(self, tracking: Any) -> None:
        """verl's fit() sets its loggers here; the metrics file becomes one of them (`verl/utils/tracking.py`)."""
        self.config = self._unblotted
        resume_trackers(tracking, self.config, self.global_steps)
        for name, log in (("zppo_metrics_file", self.metrics_log), ("zppo_events", self.event_log)):
            log.resume(self.global_steps, trains=not self.config.trainer.get("val_only", False))
            tracking.logger[name] = log
        tables = TableLog(
            tracking.logger,
            Path(self.config.trainer.default_local_dir, EVENTS_FILE),
            self.rollout_log,
            self.config.trainer.test_freq,
            self.total_training_steps,
        )
        tracking.logger["zppo_tables"] = tables
        self._logger = tracking

    def _compute_metrics(
        self, batch: KVBatchMeta, metrics: dict, timing_raw: dict, global_steps: int, epoch: int
    ) -> None:
        """verl's metrics of the batch that trained; without one there are only the times."""
        if not metrics["zppo/batch/skipped_updates"]:
            with self._limited("the metrics"):
                super()._compute_metrics(batch, metrics, timing_raw, global_steps=global_steps, epoch=epoch)
            return
        metrics |= {"training/global_step": global_steps, "training/epoch": epoch}
        metrics |= {f"timing_s/{name}": seconds for name, seconds in timing_raw.items()}

    def on_validate_begin(self) -> None:
        self.validation_queue.begin()
        self.status.write(self.global_steps, "validate")

    def _val_metrics_update(self, *samples: Any, expected_acc_counts: dict | None = None) -> dict:
        """verl's validation metrics, and of how many questions they are, without which nobody can tell their noise."""
        measured = self.validation_queue.measured(*samples, expected_acc_counts)
        sources, uids, *_, expected = measured
        metrics = super()._val_metrics_update(*measured)
        metrics |= self.validation_queue.failures(judged=self.zppo.judge.enable)
        return metrics | zppo_metrics.validation_counts(sources, uids, expected)
