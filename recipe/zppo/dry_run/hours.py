"""Hours of a run, GPU-hours and a price: from rates that the user states, or the paper's own for its layout.

Nothing here is measured. With the user's rates, a step takes

    max(student's tokens / (GPUs x generation rate), teacher's tokens / (GPUs x teacher's rate))
      + tokens of prompts and responses / (GPUs x training rate)

where student and teacher generate side by side, and every group is as full as it may be. Start, validation and
checkpoints are left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from recipe.zppo.config.hardware import GB, Hardware
from recipe.zppo.config.model_shape import ModelShape
from recipe.zppo.config.run_keys import PlanConfig
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.dry_run.engine import Training
from recipe.zppo.dry_run.layout import STUDENT, TEACHER, Layout
from recipe.zppo.dry_run.workload import Workload
from recipe.zppo.types import Kind

PAPER_STEPS = 200
PAPER_HOURS = {
    "GRPO": {1024: 61, 2048: 69, 2560: 75, 4096: 90},
    "GRPO†": {1024: 61, 2048: 69, 2560: 76, 4096: 93},
    "ZPPO": {1024: 68, 2048: 79, 2560: 92, 4096: 110},
}
"""Wall-clock hours that the paper reports for 200 steps on 64 H100-80GB, by method and hidden size of the student."""

PAPER_STEP = (384, 8, 4096, 12_288, 4)
"""New prompts of a step, rollouts of a group, longest prompt and response, updates (Table 8)."""

PAPER_TEACHER = 5120
"""Hidden size of Qwen3.5-27B."""


@dataclass(frozen=True)
class Hours:
    """Hours of a step on so many accelerators, and what they are based on."""

    step: float
    accelerators: int
    basis: str


def hours_of(
    zppo: ZPPOConfig, work: Workload, prompt: int, shape: ModelShape | None, layout: Layout, hardware: Hardware
) -> list[Hours]:
    """Both, as far as they are known; none where the pools do not fit.

    Args:
        prompt: the longest prompt in tokens.
        shape: the student's, if the models are trained and served as in the paper (`as_in_paper`).
    """
    if layout.placement is None:
        return []
    accelerators = sum(hardware.nodes[node].accelerators for node, _ in layout.by_node())
    slots = {pool.name: pool.slots * pool.nodes for pool in layout.pools}
    teacher = sum(number for name, number in slots.items() if name.startswith(TEACHER))
    found = (
        papers_hours(zppo, work, prompt, shape, (accelerators, slots[STUDENT], teacher, hardware.memory)),
        stated_hours(zppo.plan, work, prompt, slots[STUDENT], teacher, accelerators),
    )
    return [hours for hours in found if hours]


def stated_hours(
    plan: PlanConfig, work: Workload, prompt: int, student: int, teacher: int, accelerators: int
) -> Hours | None:
    """By the rates of `zppo.plan`; None while they are not given.

    Args:
        prompt: the longest prompt in tokens, where no mean is given.
        student, teacher: accelerators that train and serve each.
        accelerators: of all nodes that are used.
    """
    generation, training = plan.generation_tokens_per_s, plan.training_tokens_per_s
    if generation is None or training is None:
        return None
    response, prompt = plan.response_tokens or work.response, plan.prompt_tokens or prompt
    seconds = work.rollouts * response / (student * generation)
    rates = f"generation {generation:,.0f}"
    if plan.teacher_tokens_per_s and teacher:
        each = plan.response_tokens or work.teacher_response
        asked = work.teacher_rollouts * each + work.summaries * work.summary
        seconds = max(seconds, asked / (teacher * plan.teacher_tokens_per_s))
        rates += f", the teacher {plan.teacher_tokens_per_s:,.0f}"
    elif work.teacher_tokens:
        rates += " (the teacher keeps up)"
    seconds += work.rollouts * (prompt + response) / (student * training)
    means = ["longest" if given is None else "mean" for given in (plan.prompt_tokens, plan.response_tokens)]
    basis = (
        f"rates that were stated, in tokens a second and GPU: {rates}, training {training:,.0f}; prompts of {prompt:,} "
        f"({means[0]}) and responses of {response:,} ({means[1]})"
    )
    return Hours(seconds / 3600, accelerators, basis)


def papers_hours(
    zppo: ZPPOConfig,
    work: Workload,
    prompt: int,
    student: ModelShape | None,
    machines: tuple[int, int, int, int | None],
) -> Hours | None:
    """The paper's, for a step of its sizes with one of its students on its machines; else None.

    Args:
        student: as of `hours_of`.
        machines: accelerators of the nodes in use, of the student and of the teacher, and bytes of each.
    """
    method = _papers_method(zppo)
    step = (work.prompts, work.group_size, prompt, work.response, work.updates_per_step)
    accelerators, on_student, on_teacher, memory = machines
    if student is None or step != PAPER_STEP or (accelerators, memory) != (64, 80 * GB):
        return None
    if on_teacher and (on_student, on_teacher) != (48, 16):
        return None
    hours = PAPER_HOURS.get(method, {}).get(student.hidden)
    if hours is None or not student.model_type.startswith("qwen3_5"):
        return None
    basis = f"the paper: {hours} h for {PAPER_STEPS} steps of {method} on 64 H100-80GB"
    return Hours(hours / PAPER_STEPS, accelerators, basis)


def as_in_paper(training: Training | None, teachers: Iterable[ModelShape | None]) -> bool:
    """All weights are trained on FSDP, and the teacher, if there is one, is Qwen3.5-27B."""
    own = training is not None and training.engine in ("fsdp", "fsdp2") and not training.lora_rank
    return own and all(shape is not None and shape.hidden == PAPER_TEACHER for shape in teachers)


def _papers_method(zppo: ZPPOConfig) -> str:
    if zppo.distillation.mode != "none":
        return ""
    names = {(): "GRPO†" if zppo.replay.enable else "GRPO", (Kind.BCQ, Kind.NCQ): "ZPPO" if zppo.replay.enable else ""}
    return names.get(zppo.kinds, "")
