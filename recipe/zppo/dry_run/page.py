"""The plan as one page of text, by `rich`: what would run where, what it takes, and what is wrong."""

import io
import shutil
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from recipe.zppo.config.model_shape import ModelShape
from recipe.zppo.dry_run.context import Budget
from recipe.zppo.dry_run.engine import Serving
from recipe.zppo.dry_run.hours import Hours
from recipe.zppo.dry_run.memory import ServingMemory
from recipe.zppo.dry_run.plan import Plan
from recipe.zppo.dry_run.verdicts import gb

Line = tuple[str, str]
"""Label and text."""


def render(plan: Plan, width: int | None = None) -> str:
    """Text of the page, `width` columns wide (default: the terminal's, within 80 and 120)."""
    width = width or min(120, max(80, shutil.get_terminal_size((110, 0)).columns))
    console = Console(file=io.StringIO(), width=width, highlight=False)
    sections = (
        ("Chosen", [(name, chosen) for name, chosen in plan.choices.items()]),
        ("Models", _models(plan)),
        (f"Placement ({plan.hardware.source})" if plan.hardware else "Placement", _placement(plan)),
        ("Sizes", _sizes(plan)),
        ("Longest requests, in tokens", _contexts(plan)),
        ("Memory of an accelerator", _memory(plan)),
        ("Work", _work(plan)),
        ("Hours (none of this was measured here)", _hours(plan)),
        ("Files", _files(plan)),
    )
    if plan.command:
        console.print(Text(f"Plan of: {plan.command}"), soft_wrap=True)
    for title, lines in sections:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, min_width=22)
        table.add_column(overflow="fold")
        for label, text in lines:
            table.add_row(Text(f"  {label}"), Text(text))
        if table.row_count:
            console.print(Text(title, style="bold"))
            console.print(table)
    for title, lines in (("warning", plan.warnings), ("not checked", plan.not_checked), ("problem", plan.problems)):
        for line in lines:
            console.print(Text(f"{title}: {line}"), soft_wrap=True)
    count = len(plan.problems)
    verdict = f"would not run: {count} problem{'s' if count > 1 else ''}" if count else "would run"
    console.print(Text(verdict, style="bold"))
    # `rich` pads cells to their column.
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def _models(plan: Plan) -> Iterator[Line]:
    if plan.student_path:
        yield "student", _model(plan.student_path, plan.student)
    for path, shape in plan.teachers.items():
        yield "teacher", _model(path, shape)
    if plan.endpoint:
        yield "teacher", f"{plan.endpoint}, served elsewhere (zppo.teacher.base_url)"
    if plan.method:
        yield "groups", f"plain, {plan.method}"


def _model(path: str, shape: ModelShape | None) -> str:
    if shape is None:
        return f"{path}: shape unknown"
    vision = f", {_count(shape.vision_parameters)} of them vision" if shape.vision_parameters else ""
    kinds = f"{shape.layers} layers"
    if shape.linear:
        kinds += f" ({shape.attention_layers} attention, {shape.linear.layers} linear)"
    stored = f", {shape.quantization}" if shape.quantization else ""
    about = "" if shape.exact else "about "
    return (
        f"{path}: {about}{_count(shape.parameters)} parameters{vision}, {kinds}, hidden {shape.hidden}, heads "
        f"{shape.heads}/{shape.kv_heads} x {shape.head_dim}, vocabulary {shape.vocab:,}{stored} [{shape.source}]"
    )


def _placement(plan: Plan) -> Iterator[Line]:
    layout = plan.layout
    if layout is None:
        return
    same: list[tuple[int, int, dict[str, int]]] = []
    for node, shares in layout.by_node():
        if same and same[-1][2] == shares and same[-1][1] == node - 1:
            same[-1] = (same[-1][0], node, shares)
        else:
            same.append((node, node, shares))
    for first, last, shares in same:
        parts, start = [], 0
        for name, slots in shares.items():
            numbers = str(start) if slots == 1 else f"{start}-{start + slots - 1}"
            parts.append(f"{slots} {name} ({numbers})")
            start += slots
        free = plan.hardware.nodes[first].accelerators - start
        rest = f", {free} free" if free else ""
        where = f"node {first}" if first == last else f"nodes {first}-{last}"
        yield where, f"{'' if first == last else 'each '}{', '.join(parts)}{rest}"


def _sizes(plan: Plan) -> Iterator[Line]:
    training, batch = plan.training, plan.batch
    if training:
        split = {"tensor": training.tensor, "pipeline": training.pipeline, "sequence": training.context}
        shown = "".join(f", {name} parallel {size}" for name, size in split.items() if size > 1)
        lora = f", LoRA of rank {training.lora_rank}" if training.lora_rank else ""
        text = (
            f"{training.engine} on {training.ranks}, {training.shards} shard(s){shown}, data parallel "
            f"{training.data_parallel}{lora}"
        )
        yield "training", text
    if batch:
        padded = f", padded to {batch.padded:,}" if batch.padded != batch.rows else ""
        text = (
            f"at most {batch.groups} groups x {batch.group_size} = {batch.rows:,} sequences{padded}, in "
            f"{batch.updates} update(s) of {batch.per_rank} a rank"
        )
        yield "an update step", text
    for server in plan.servers:
        text = (
            f"{server.ranks // server.replica} replica(s) of {server.replica}, "
            f"context {server.max_model_len or 'the model'}"
        )
        yield f"{server.name}'s servers", text


def summary(plan: Plan) -> str:
    """One line for the log of a run that starts."""
    work, layout, disk = plan.workload, plan.layout, plan.disk
    parts = []
    if work and work.steps is not None:
        tokens = _count(work.steps * work.student_tokens)
        parts.append(f"{work.steps:,} steps, {work.steps * work.updates_per_step:,} updates, at most {tokens} tokens")
    if layout and layout.placement:
        pools = " + ".join(f"{pool.slots} {pool.name}" for pool in layout.pools)
        parts.append(f"{pools} on each of {len(layout.by_node())} node(s)")
    for (name, _), served in plan.serving_memory.items():
        parts.append(f"{name}'s cache about {gb(served.cache)}")
    for found in plan.hours:
        if work and work.steps is not None:
            parts.append(f"{found.step * work.steps:,.3g} hours by {found.basis.partition(':')[0]}")
    if disk and disk.needed:
        parts.append(f"checkpoints {gb(disk.needed)}")
    return "; ".join(parts) or "nothing could be counted"


def _contexts(plan: Plan) -> Iterator[Line]:
    if plan.contexts is None:
        return
    for budget in plan.contexts.budgets:
        yield f"{budget.who}: {budget.what}", _budget(budget)
    if not plan.contexts.counted:
        yield "templates", "estimated: the student's tokenizer is not on this machine"


def _budget(budget: Budget) -> str:
    if budget.prompt is None:
        return f"no bound ({budget.parts}); what does not fit is skipped and counted"
    verdict = {True: "fits", False: "does not always fit", None: "context unknown"}[budget.fits]
    context = f" of {budget.context:,}" if budget.context else ""
    return f"{budget.prompt:,} ({budget.parts}) + {budget.response:,} = {budget.total:,}{context}: {verdict}"


def _memory(plan: Plan) -> Iterator[Line]:
    found = plan.training_memory
    if plan.memory and plan.serving_memory:
        yield "size", gb(plan.memory)
    if found:
        text = (
            f"weights {gb(found.weights)} + gradients {gb(found.gradients)} + Adam {gb(found.states)}; about "
            f"{gb(found.gathered)} gathered, {gb(found.activations)} activations, {gb(found.logits)} logits, "
            f"{gb(found.beside)} servers = {gb(found.estimate)}"
        )
        yield "student, update", text
    for (name, _), serving in plan.serving_memory.items():
        server = next(server for server in plan.servers if server.name == name)
        yield f"{name}, serving", _serving(server, serving)
    if plan.host and (plan.host.offloaded or plan.host.loading):
        yield "main memory", f"a node: {gb(plan.host.offloaded)} offloaded; {gb(plan.host.loading)} while loading"


def _serving(server: Serving, found: ServingMemory) -> str:
    kept = f", beside {gb(found.resident)} of training" if found.resident else ""
    return (
        f"{server.utilization} = {gb(found.budget)}: weights {gb(found.weights)}, about {gb(found.workspace)} "
        f"workspace, {gb(found.cache)} cache: {found.sequences} sequences of {server.max_model_len or 0:,} "
        f"({found.per_sequence / 1e6:,.0f} MB each){kept}"
    )


def _work(plan: Plan) -> Iterator[Line]:
    work = plan.workload
    if work is None:
        return
    text = (
        f"{work.prompts} new prompts, up to {work.replayed} replayed and {work.extra_groups} further groups: "
        f"{work.rollouts:,} rollouts, {_count(work.student_tokens)} tokens at most"
    )
    yield "a step", text
    if work.teacher_rollouts or work.summaries:
        text = (
            f"up to {work.teacher_rollouts:,} rollouts and {work.summaries:,} summaries or hints, "
            f"{_count(work.teacher_tokens)} tokens at most"
        )
        yield "of the teacher", text
    if work.steps is not None:
        teacher = f", teacher {_count(work.teacher_tokens * work.steps)}" if work.teacher_tokens else ""
        text = (
            f"{work.steps:,} steps, {work.steps * work.updates_per_step:,} updates, "
            f"{work.steps * work.prompts:,} prompts, up to {work.steps * work.rollouts:,} rollouts; tokens "
            f"at most: student {_count(work.steps * work.student_tokens)}{teacher}"
        )
        yield "the run", text


def _hours(plan: Plan) -> Iterator[Line]:
    if plan.platform == "cpu" or plan.workload is None:
        return
    steps = plan.workload.steps
    for found in plan.hours:
        yield "hours", _in_hours(found, steps, plan.price)
        yield "  from", found.basis
    if not plan.hours:
        yield "hours", "not known: give zppo.plan.generation_tokens_per_s and zppo.plan.training_tokens_per_s"
        yield "formula", FORMULA


FORMULA = (
    "a step = max(student's tokens / (GPUs x generation rate), teacher's tokens / (GPUs x its rate)) + tokens of "
    "prompts and responses / (GPUs x training rate); GPU-hours = hours x GPUs of all nodes in use"
)


def _in_hours(found: Hours, steps: int | None, price: float | None) -> str:
    minutes = f"{60 * found.step:.3g} minutes a step"
    if steps is None:
        return f"{minutes}, {found.step * found.accelerators:,.3g} GPU-hours each on {found.accelerators}"
    hours = found.step * steps
    spent = hours * found.accelerators
    text = f"{hours:,.3g} for {steps:,} steps ({minutes}): {spent:,.0f} GPU-hours on {found.accelerators}"
    return text if price is None else f"{text}; {spent * price:,.0f} at {price:g} a GPU-hour"


def _files(plan: Plan) -> Iterator[Line]:
    for name, rows in (("training data", plan.train_rows), ("validation data", plan.val_rows)):
        if name == "training data" and plan.questions:
            yield name, f"{plan.questions:,} questions (zppo.plan.questions)"
        elif rows:
            yield name, f"{rows.files} file(s), {'unknown' if rows.rows is None else f'{rows.rows:,}'} rows"
    disk = plan.disk
    if disk is None:
        return
    if disk.rollouts:
        total = f"; with what else is saved {gb(disk.estimate)}" if disk.needed else ""
        yield "rollout files", f"up to about {gb(disk.rollouts)}, an upper estimate{total}"
    there = f" on the disk of {'this machine, at ' if plan.elsewhere else ''}{disk.place}"
    free = f"; {gb(disk.free)} free{there}" if disk.free is not None else ""
    if disk.kept == 0:
        yield "checkpoints", f"none are saved{free}"
        return
    each = f" of {gb(disk.checkpoint)}" if disk.checkpoint else ""
    kept = "all" if disk.kept is None else f"up to {disk.kept}"
    total = f" = {gb(disk.needed)} with the final model" if disk.needed else ""
    yield "checkpoints", f"{kept}{each}{total} in {disk.folder}{free}"


def _count(number: float) -> str:
    """A number with three digits and a unit."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"
