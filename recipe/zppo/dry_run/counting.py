"""The numbers of a `Plan`, part by part: placement, models, work, sizes, memory, hours, disk."""

from importlib.util import find_spec

import psutil
from omegaconf import DictConfig

from recipe.zppo.config.hardware import parse_hardware
from recipe.zppo.config.model_config import BY_NAME, UnknownShapeError
from recipe.zppo.config.model_shape import ModelShape, shape_of
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.dry_run import machine
from recipe.zppo.dry_run.context import contexts_of
from recipe.zppo.dry_run.disk import disk_of, rollout_bytes
from recipe.zppo.dry_run.divisibility import Batch, serving_problems, training_problems
from recipe.zppo.dry_run.engine import ENGINES, student_serving, teacher_serving, training_of
from recipe.zppo.dry_run.hours import as_in_paper, hours_of
from recipe.zppo.dry_run.layout import lay_out
from recipe.zppo.dry_run.memory import checkpoint_bytes, host_memory, resident, serving_memory, training_memory
from recipe.zppo.dry_run.plan import Plan
from recipe.zppo.dry_run.questions import question_warnings
from recipe.zppo.dry_run.verdicts import context_warnings, disk_verdicts, memory_warnings, serving_warnings
from recipe.zppo.dry_run.workload import rows_of, workload_of
from recipe.zppo.preflight.models import planned_elsewhere
from recipe.zppo.preflight.packages import missing_packages

NO_MEMORY = "accelerators' memory: platform=cpu has none"


def add_numbers(result: Plan, config: DictConfig, zppo: ZPPOConfig, *, join: bool) -> None:
    """Everything beyond the checks."""
    result.platform = str(config.trainer.device)
    result.elsewhere = planned_elsewhere(config)
    if planned_elsewhere(config) and find_spec("fla") is None:
        result.not_checked.append(
            "flash-linear-attention, which Qwen3.5 needs for packed sequences: not installed here"
        )
    if planned_elsewhere(config) and (missing := missing_packages(config)):
        result.not_checked.append(f"{', '.join(missing)}: not installed here")
    result.method = " + ".join(kind.value for kind in zppo.kinds) or "plain groups only"
    _hardware(result, config, zppo, join)
    _models(result, config, zppo)
    _work(result, config, zppo)
    _sizes(result, config, zppo)
    if result.platform != "cpu":
        _memory(result, config)
    else:
        result.not_checked.append(NO_MEMORY)
    if result.workload and result.layout and result.hardware:
        prompt, layout = config.data.max_prompt_length, result.layout
        known = result.student if as_in_paper(result.training, result.teachers.values()) else None
        result.hours = hours_of(zppo, result.workload, prompt, known, layout, result.hardware)
        result.price = zppo.plan.price_per_gpu_hour
    _disk(result, config, zppo)


def _hardware(result: Plan, config: DictConfig, zppo: ZPPOConfig, join: bool) -> None:
    if not zppo.hardware and result.platform != "cpu":
        result.accelerators = machine.accelerators()
    try:
        result.hardware = (
            parse_hardware(zppo.hardware) if zppo.hardware else machine.look(config, result.accelerators, join=join)
        )
    except ConnectionError as error:
        address = machine.cluster_address(config)
        result.problems.append(f"ray_kwargs.ray_init.address: no Ray cluster at {address}: {error}")
    if result.hardware is None:
        result.not_checked.append("placement: the cluster's nodes are not known")
        return
    result.layout = lay_out(config, zppo, result.hardware)
    result.problems += result.layout.problems
    if result.platform != "cpu" and (idle := result.layout.idle(result.hardware)):
        result.warnings.append(idle)


def _models(result: Plan, config: DictConfig, zppo: ZPPOConfig) -> None:
    result.student_path = str(config.actor_rollout_ref.model.path)
    result.student = _shape(result, result.student_path, "student")
    if zppo.needs_teacher and not zppo.placed_teachers:
        result.endpoint = str(zppo.teacher.path)
        unasked = ", and was not asked" if result.elsewhere else ""
        result.not_checked.append(
            f"the teacher's context and memory: it is served elsewhere (zppo.teacher.base_url){unasked}"
        )
    for path in zppo.placed_teachers:
        result.teachers[path] = _shape(result, path, "teacher")


def _shape(result: Plan, path: str, who: str) -> ModelShape | None:
    try:
        shape = shape_of(path)
    except UnknownShapeError as reason:
        result.not_checked.append(f"{who}'s heads and memory: the shape of {path} is unknown, {reason}")
        return None
    if shape.source == BY_NAME:
        result.not_checked.append(f"{who}: the folder {path} is not on this machine; its name tells its shape")
    return shape


def _work(result: Plan, config: DictConfig, zppo: ZPPOConfig) -> None:
    result.warnings += question_warnings(config, zppo)
    result.train_rows, result.val_rows = rows_of(config.data, "train_files"), rows_of(config.data, "val_files")
    result.workload = workload_of(config, zppo, result.questions or result.train_rows.rows)
    if result.workload.steps is None:
        result.not_checked.append(
            "steps: the training files are remote or can't be read; zppo.plan.questions=N counts them from N questions"
        )


def _sizes(result: Plan, config: DictConfig, zppo: ZPPOConfig) -> None:
    result.servers = [student_serving(config)]
    if zppo.placed_teachers:
        result.servers.append(teacher_serving(config, zppo))
    teacher_context = zppo.teacher.inference.get("max_model_len") if zppo.placed_teachers else None
    positions = result.student.positions if result.student else None
    result.contexts = contexts_of(config, zppo, teacher_context, positions)
    result.warnings += context_warnings(result.contexts)
    if config.actor_rollout_ref.actor.strategy in ENGINES:
        training = result.training = training_of(config)
        if training.data_parallel and (work := result.workload):
            result.batch = Batch(work.groups, work.group_size, zppo.updates_per_step, training.data_parallel)
        result.problems += training_problems(training, result.student, result.batch, result.contexts.longest)
    else:
        engine = config.actor_rollout_ref.actor.strategy
        result.not_checked.append(f"the student's training: the plan knows {', '.join(ENGINES)}, not {engine}")
    per_node = {"student": config.trainer.n_gpus_per_node, "teacher": zppo.teacher.n_gpus_per_node}
    keys = {"student": "trainer.n_gpus_per_node", "teacher": "zppo.teacher.n_gpus_per_node"}
    for server in result.servers:
        for shape in [result.student] if server.name == "student" else result.teachers.values():
            result.problems += serving_problems(server, shape, per_node[server.name], keys[server.name])


def _memory(result: Plan, config: DictConfig) -> None:
    memory = result.hardware.memory if result.hardware else None
    if memory is None:  # Ray does not know it of its nodes; those of this one stand for all
        memory = min((accelerator.total for accelerator in result.accelerators), default=None)
    result.memory = memory
    if memory is None:
        result.not_checked.append(
            "accelerators' memory: its size is not known; set zppo.hardware=NODESxACCELERATORSxGB"
        )
        return
    for server in result.servers:
        models, held = result.teachers, (0, 0)
        if server.name == "student":
            models = {result.student_path: result.student if result.training else None}
            held = resident(result.student, result.training) if result.student and result.training else held
        for path, shape in models.items():
            if shape:
                found = serving_memory(shape, server, memory, held)
                result.serving_memory[server.name, path] = found
                result.warnings += serving_warnings(server, found, memory, result.training)
    if result.student and result.training:
        needed = result.training_memory = training_memory(result.student, result.training, result.servers[0], memory)
        result.host = host_memory(result.student, result.training, config.trainer.n_gpus_per_node)
        local = result.hardware is not None and result.hardware.source == machine.HERE
        here = psutil.virtual_memory().available if local else None
        result.warnings += memory_warnings(result.training, needed, result.host, memory, here)
    for accelerator in result.accelerators:
        if accelerator.free < 0.9 * accelerator.total:
            result.warnings.append(
                f"accelerator {accelerator.index}: {accelerator.free / 1e9:.1f} of {accelerator.total / 1e9:.1f} GB "
                "are free; another process is using it"
            )


def _disk(result: Plan, config: DictConfig, zppo: ZPPOConfig) -> None:
    checkpoint, exported = None, 0
    if result.student and result.training:
        contents = list(config.actor_rollout_ref.actor.checkpoint.save_contents)
        checkpoint = checkpoint_bytes(result.student, result.training, contents)
        exported = 2 * result.student.parameters if config.zppo.export.hf_model else 0
    work, logs = result.workload, zppo.logging.rollouts_dir
    rollouts = rollout_bytes(zppo, work, config.data.max_prompt_length) if work else None
    result.disk = disk_of(config, work.steps if work else None, checkpoint, exported, rollouts, logs)
    if result.elsewhere:
        result.not_checked.append(
            f"room in trainer.default_local_dir={result.disk.folder}: the plan is for other machines (zppo.hardware)"
        )
        return
    here = result.hardware is not None and result.hardware.source in (machine.HERE, machine.CPU)
    result.add(*disk_verdicts(result.disk, here=here))
