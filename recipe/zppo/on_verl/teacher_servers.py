"""The teachers' own servers: verl's teacher manager, on accelerators of their own, used for generation and scores."""

import copy
import math
import threading
from concurrent.futures import Future

from omegaconf import DictConfig, OmegaConf, open_dict
from verl.experimental.teacher_loop import MultiTeacherModelManager
from verl.single_controller.ray.base import RayResourcePool

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.on_verl.teacher_inference import PARALLEL_SIZES, inference_of


class TeacherStart:
    """Starts the teacher's servers in a thread while the student's are starting; ``pool`` is reserved already."""

    def __init__(self, config: DictConfig, zppo: ZPPOConfig, pool: RayResourcePool):
        self._manager: Future[MultiTeacherModelManager] = Future()
        arguments = (copy.deepcopy(config), zppo, pool)  # verl goes on editing the config meanwhile
        threading.Thread(target=self._start, args=arguments, name="teacher-start", daemon=True).start()

    def result(self) -> MultiTeacherModelManager:
        """The manager, once its servers answer; raises what went wrong."""
        return self._manager.result()

    def _start(self, config: DictConfig, zppo: ZPPOConfig, pool: RayResourcePool) -> None:
        try:
            self._manager.set_result(start_teacher(config, zppo, pool))
        except BaseException as error:  # handed to the main thread
            self._manager.set_exception(error)


def start_teacher(config: DictConfig, zppo: ZPPOConfig, pool: RayResourcePool) -> MultiTeacherModelManager:
    """Start the servers of every teacher, each on ``zppo.teacher.n_gpus_per_node`` x ``nnodes`` accelerators.

    The manager's teachers are in the order of ``zppo.placed_teachers``. verl's ``distillation.enabled`` would also
    score every training sample and replace the loss by one of verl's, so it stays off for the trainer; the manager gets
    a copy of the config in which it is on.
    """
    return MultiTeacherModelManager(config=_teacher_config(config, zppo), resource_pool=pool)


def _teacher_config(config: DictConfig, zppo: ZPPOConfig) -> DictConfig:
    teacher = zppo.teacher
    with open_dict(config):
        distillation = config.distillation
        distillation.enabled = True
        distillation.n_gpus_per_node = teacher.n_gpus_per_node
        distillation.nnodes = teacher.nnodes * len(zppo.placed_teachers)
        model = distillation.teacher_models.teacher_model
        model.model_path = teacher.path
        model.inference = OmegaConf.merge(model.inference, inference_of(config, zppo))
        if teacher.more:  # verl then ignores `teacher_model`
            size = math.prod(model.inference.get(name, 1) for name in PARALLEL_SIZES)
            replicas = teacher.n_gpus_per_node * teacher.nnodes // size
            for i, path in enumerate(zppo.placed_teachers):
                changes = {"key": f"teacher_{i}", "model_path": path, "num_replicas": replicas}
                distillation.teacher_models[f"teacher_model_{i}"] = OmegaConf.merge(model, changes)
    return config
