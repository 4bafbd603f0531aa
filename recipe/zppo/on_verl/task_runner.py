"""The Ray actor that drives a run: verl's, with the trainer `zppo` registered in its process."""

import os
from typing import Any

import ray
from omegaconf import DictConfig
from verl.trainer.main_ppo import TaskRunnerV1

from recipe.zppo.on_verl.guards.wait_limit import WaitLimit
from recipe.zppo.run.lock import RunLock
from recipe.zppo.run.trackers import tracker_environment
from recipe.zppo.teacher.secret import Secret

# Ray wraps a decorated class; the plain one is kept in its metadata.
_TaskRunner = TaskRunnerV1.__ray_metadata__.modified_class


@ray.remote
class ZPPOTaskRunner(_TaskRunner):
    """verl's V1 task runner for `trainer.v1.trainer_mode=zppo`.

    Args:
        secrets: variables that the driver has in its environment and this process, maybe on another node, may lack.
    """

    def __init__(self, secrets: dict[str, Secret] | None = None):
        super().__init__()
        for name, secret in (secrets or {}).items():
            os.environ.setdefault(name, secret.reveal())

    def run(self, config: DictConfig) -> None:
        # Registers the trainer, and the advantage estimator, under the name "zppo".
        import recipe.zppo.on_verl.trainer  # noqa: F401

        limit = WaitLimit(
            config.zppo.timeouts.start_s,
            "the run was not ready to train",
            "zppo.timeouts.start_s",
            "`ray status` names resources that nobody has, Ray's logs what each process said last; raise the limit if "
            "models load slowly",
        )
        # First the lock: watching one that a dead node left takes minutes, which are not the start's.
        with RunLock(config.trainer.default_local_dir), tracker_environment(config), limit as self._start_limit:
            super().run(config)

    def init_agent_loop_manager(self) -> None:
        """The last thing before training."""
        super().init_agent_loop_manager()
        self._start_limit.lift()


class TaskRunnerWith:
    """What verl's `run_ppo` makes its task runner from, with the secrets that it does not know of."""

    def __init__(self, secrets: dict[str, Secret], actor: Any = ZPPOTaskRunner):
        self._secrets, self._actor = secrets, actor

    def options(self, **options: Any) -> "TaskRunnerWith":
        return TaskRunnerWith(self._secrets, self._actor.options(**options))

    def remote(self) -> Any:
        return self._actor.remote(self._secrets)
