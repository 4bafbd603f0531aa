"""The Ray actor that drives a run: verl's, with the trainer `zppo` registered in its process."""

import os

import ray
from omegaconf import DictConfig
from verl.trainer.main_ppo import TaskRunnerV1

# Ray wraps a decorated class; the plain one is kept in its metadata.
_TaskRunner = TaskRunnerV1.__ray_metadata__.modified_class


@ray.remote
class ZPPOTaskRunner(_TaskRunner):
    """verl's V1 task runner for `trainer.v1.trainer_mode=zppo`."""

    def run(self, config: DictConfig) -> None:
        # Registers the trainer, and the advantage estimator, under the name "zppo".
        import recipe.zppo.trainer  # noqa: F401

        # verl's default is ./tensorboard_log of the working directory, shared by all runs.
        os.environ.setdefault("TENSORBOARD_DIR", os.path.join(config.trainer.default_local_dir, "tensorboard"))
        super().run(config)
