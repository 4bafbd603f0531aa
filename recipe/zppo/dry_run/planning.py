"""From a composed config to a `Plan`: all checks, then the numbers, part by part.

A *problem* is certain: a run would not start, or would fail later. A *warning* is an estimate, or harmless.
"""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec

import psutil
from omegaconf import DictConfig

from recipe.zppo.config.hardware import Hardware, parse_hardware
from recipe.zppo.config.model_config import BY_NAME, UnknownShapeError
from recipe.zppo.config.model_shape import ModelShape, shape_of
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.dry_run import machine
from recipe.zppo.dry_run.context import Contexts, contexts_of
from recipe.zppo.dry_run.disk import Disk, disk_of, rollout_bytes
from recipe.zppo.dry_run.divisibility import Batch, serving_problems, training_problems
from recipe.zppo.dry_run.elsewhere import leave_out_data, put_files, too_few
from recipe.zppo.dry_run.engine import ENGINES, Serving, Training, student_serving, teacher_serving, training_of
from recipe.zppo.dry_run.hours import Hours, as_in_paper, hours_of
from recipe.zppo.dry_run.layout import Layout, lay_out
from recipe.zppo.dry_run.memory import (
    HostMemory,
    ServingMemory,
    TrainingMemory,
    checkpoint_bytes,
    host_memory,
    resident,
    serving_memory,
    training_memory,
)
from recipe.zppo.dry_run.page import render
from recipe.zppo.dry_run.verdicts import context_warnings, disk_verdicts, memory_warnings, serving_warnings
from recipe.zppo.dry_run.workload import Rows, Workload, rows_of, workload_of
from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.config_check import check_with_verl
from recipe.zppo.preflight.models import planned_elsewhere
from recipe.zppo.preflight.packages import check_packages, missing_packages
from recipe.zppo.preflight.settings import find_problems
from recipe.zppo.preflight.stack import check_stack
from recipe.zppo.preflight.values import check_values

NO_MEMORY = "accelerators' memory: platform=cpu has none"
NO_ESTIMATE = "the GPU's memory: the plan knows verl's engines, and recipe.zppo.local is none of them"


@dataclass
class Plan:
    """What a run would do. Every problem, warning and omission is one line; a problem names a key and a remedy.

    Parts are None where the config, or what is known of the models, does not give them.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    command: str = ""
    choices: dict[str, str] = field(default_factory=dict)
    """Files that were chosen, such as those of preset and method; empty where the config was not composed by Hydra."""
    platform: str = "cuda"
    method: str = ""
    student: ModelShape | None = None
    student_path: str = ""
    teachers: dict[str, ModelShape | None] = field(default_factory=dict)
    endpoint: str | None = None
    """Name of a teacher that is served elsewhere."""
    hardware: Hardware | None = None
    layout: Layout | None = None
    accelerators: list[machine.Accelerator] = field(default_factory=list)
    training: Training | None = None
    batch: Batch | None = None
    servers: list[Serving] = field(default_factory=list)
    contexts: Contexts | None = None
    memory: int | None = None
    """Bytes of one accelerator."""
    training_memory: TrainingMemory | None = None
    serving_memory: dict[tuple[str, str], ServingMemory] = field(default_factory=dict)
    """By `student` or `teacher`, and path."""
    host: HostMemory | None = None
    train_rows: Rows | None = None
    val_rows: Rows | None = None
    workload: Workload | None = None
    questions: int | None = None
    """What steps are counted from, where the user says so."""
    hours: list[Hours] = field(default_factory=list)
    price: float | None = None
    disk: Disk | None = None
    elsewhere: bool = False
    """The plan is for other machines than this one."""

    def add(self, problems: list[str], warnings: list[str]) -> None:
        self.problems += problems
        self.warnings += warnings

    def page(self, width: int | None = None) -> str:
        """The plan as text of one page."""
        return render(self, width)


def plan(config: DictConfig, *, join: bool = True, stack: bool = True) -> Plan:
    """All checks, and the plan as far as they let it be made; `config` stays as it is.

    Args:
        join: connect to a running Ray cluster, if one is configured and `zppo.hardware` is null.
        stack: verl's engines and servers would run it, not `recipe.zppo.local`.
    """
    config = copy.deepcopy(config)
    on_gpu = not stack and config.trainer.device != "cpu"
    if on_gpu:  # in one process, of which nothing is placed
        config.trainer.device = "cpu"
    try:
        check_values(config)
        zppo = validate_zppo(config.zppo)
    except ConfigError:
        return Plan(problems=find_problems(config))  # nothing can be counted
    result = Plan(questions=zppo.plan.questions)
    if result.questions:
        result.not_checked += leave_out_data(config, result.questions)
        result.problems += too_few(config, result.questions)
    result.problems += put_files(config)
    result.problems += find_problems(config)
    checks: list[Callable[[DictConfig], object]] = [check_stack] if stack else []
    for check in [*checks, check_with_verl, *([] if planned_elsewhere(config) else [check_packages])]:
        try:
            with _quiet():
                check(config)
        except ConfigError as error:
            result.problems.append(str(error))
    add_numbers(result, config, zppo, join=join)
    if on_gpu:
        result.not_checked[:] = [NO_ESTIMATE if line == NO_MEMORY else line for line in result.not_checked]
    result.problems = list(dict.fromkeys(result.problems))
    return result


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """verl says on stdout that checks passed, and warns of the missing critic and, on a login node, accelerator."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


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
        if training.data_parallel:
            work = result.workload
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
        found = training_memory(result.student, result.training, result.servers[0], memory)
        result.training_memory = found
        result.host = host_memory(result.student, result.training, config.trainer.n_gpus_per_node)
        local = result.hardware is not None and result.hardware.source == machine.HERE
        here = psutil.virtual_memory().available if local else None
        result.warnings += memory_warnings(result.training, found, result.host, memory, here)
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
