"""What a run would do: what the checks and counts give, and `page` shows.

A *problem* is certain: a run would not start, or would fail later. A *warning* is an estimate, or harmless.
"""

from dataclasses import dataclass, field

from recipe.zppo.config.hardware import Hardware
from recipe.zppo.config.model_shape import ModelShape
from recipe.zppo.dry_run.context import Contexts
from recipe.zppo.dry_run.disk import Disk
from recipe.zppo.dry_run.divisibility import Batch
from recipe.zppo.dry_run.engine import Serving, Training
from recipe.zppo.dry_run.hours import Hours
from recipe.zppo.dry_run.layout import Layout
from recipe.zppo.dry_run.machine import Accelerator
from recipe.zppo.dry_run.memory import HostMemory, ServingMemory, TrainingMemory
from recipe.zppo.dry_run.workload import Rows, Workload


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
    accelerators: list[Accelerator] = field(default_factory=list)
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
