"""What a run has to do: steps, updates, prompts, rollouts, and tokens at most."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from omegaconf import DictConfig, ListConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.methods import METHODS
from recipe.zppo.selection import reformulation_cap


@dataclass(frozen=True)
class Rows:
    """Data files: how many, and rows in all (None: a file is remote or can't be read here)."""

    files: int
    rows: int | None


@dataclass(frozen=True)
class Workload:
    """Upper bounds. Of a step, unless `steps` is in the name; None where the number of rows is unknown."""

    steps: int | None
    updates_per_step: int
    prompts: int
    replayed: int
    extra_groups: int
    group_size: int
    response: int
    teacher_rollouts: int
    teacher_response: int
    summaries: int
    summary: int

    @property
    def groups(self) -> int:
        return self.prompts + self.replayed + self.extra_groups

    @property
    def rollouts(self) -> int:
        return self.groups * self.group_size

    @property
    def student_tokens(self) -> int:
        return self.rollouts * self.response

    @property
    def teacher_tokens(self) -> int:
        return self.teacher_rollouts * self.teacher_response + self.summaries * self.summary


def rows_of(data: DictConfig, key: str) -> Rows:
    """Files and rows of `data.train_files` or `data.val_files`."""
    value = data.get(key)
    files = [str(file) for file in (value if isinstance(value, ListConfig | list) else [value]) if file]
    total = 0
    for file in files:
        rows = _count(Path(file).expanduser()) if "://" not in file else None
        if rows is None:
            return Rows(len(files), None)
        total += rows
    return Rows(len(files), total)


def _count(file: Path) -> int | None:
    """Rows of a file; of JSON those with one object a line."""
    try:
        if file.suffix == ".parquet":
            return pq.read_metadata(file).num_rows
        with file.open("rb") as lines:
            return sum(bool(line.strip()) for line in lines)
    except Exception:  # the checks have said what is wrong with the file
        return None


def workload_of(config: DictConfig, zppo: ZPPOConfig, rows: int | None) -> Workload:
    """The work of a run whose training files have `rows` rows, of which overlong prompts may yet be dropped."""
    size, trainer = config.data.train_batch_size, config.trainer
    most = config.data.get("train_max_samples", -1)
    if rows is not None and most and most > 0:
        rows = min(rows, most)
    steps = trainer.total_training_steps
    if steps is None and rows is not None:
        steps = rows // size * trainer.total_epochs
    replayed = zppo.num_replayed(size) or 0
    plain = size + replayed
    cap = reformulation_cap(zppo.reformulation.fraction, size) if zppo.reformulation.enable and zppo.kinds else 0
    methods = [METHODS[kind] for kind in zppo.kinds]
    asked = plain if any(method.asks_teacher and not method.asks_after_cap for method in methods) else cap
    shown = max((method.most_candidates(config.actor_rollout_ref.rollout.n) for method in methods), default=0)
    # Instances share one cap, and each shows a pair, or all wrong rollouts of a group.
    summaries = cap * shown * zppo.summaries_asked if zppo.compresses else cap * zppo.writes_hint
    return Workload(
        steps=steps,
        updates_per_step=zppo.updates_per_step,
        prompts=size,
        replayed=replayed,
        extra_groups=plain if any(method.off_policy for method in methods) else cap,
        group_size=config.actor_rollout_ref.rollout.n,
        response=config.data.max_response_length,
        teacher_rollouts=asked * zppo.teacher.n_rollouts * len(zppo.teacher_paths) if zppo.asks_teacher else 0,
        teacher_response=zppo.teacher.response_length,
        summaries=summaries,
        summary=zppo.compression.max_tokens,
    )
