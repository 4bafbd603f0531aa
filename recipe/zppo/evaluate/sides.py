"""What `compare` can hold beside each other: an evaluation, a run, a row of the paper. Scores are 0 to 100."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recipe.zppo.benchmarks.validation_rows import SOURCE
from recipe.zppo.errors import DataError
from recipe.zppo.evaluate.paper import PaperError, paper_row
from recipe.zppo.evaluate.results import is_results_folder, read_all
from recipe.zppo.run.folder import RunFolder, RunFolderError
from recipe.zppo.view.held_out import validations
from recipe.zppo.view.title import run_title, shown

PAPER = "paper:"


@dataclass(frozen=True)
class Side:
    """Scores by benchmark; of a run by data source of its validation set, of which benchmarks are some."""

    label: str
    scores: Mapping[str, float]
    folder: Path | None = None
    note: str = ""
    """What the reader must know of the scores, in a sentence."""


def side(given: str) -> Side:
    """``paper:0.8B/zppo``, the folder of a model's evaluation, or that of a run, of which the last validation counts.

    Raises:
        DataError: no such folder; an evaluation without a score, of several models, or damaged.
        PaperError: the paper has no such row, or no benchmark of it.
        RunFolderError: it is none of these, or has no validation.
    """
    if given.startswith(PAPER):
        row = paper_row(given.removeprefix(PAPER))
        if not row.scores:
            raise PaperError(f"{given}: the paper prints its averages alone, no benchmark")
        return Side(f"paper, {row.label}", row.scores)
    folder = Path(given).expanduser().resolve()
    if not folder.is_dir():
        raise DataError(
            f"{given!r} is not a folder; give that of an evaluation or of a run, or a row as in {PAPER}0.8B/zppo"
        )
    return evaluation(folder) if given and is_results_folder(folder) else run_side(RunFolder(given))


def evaluation(folder: Path) -> Side:
    """Of one model.

    Raises:
        DataError: see `side`.
    """
    models = read_all(folder)
    if len(models) > 1:
        names = ", ".join(str(folder / model.model) for model in models)
        raise DataError(f"{folder} holds evaluations of {len(models)} models; give one of {names}")
    (model,) = models
    if not (scores := model.scores()):
        raise DataError(f"{folder}: no benchmark of {model.model} has a number yet")
    note = f"{model.model}: of at most {model.limit} questions a benchmark." if model.limit is not None else ""
    return Side(shown(model.model), scores, folder, note)


def run_side(run: RunFolder, last: bool = True) -> Side:
    """Of the run's last validation, or of its first.

    Raises:
        RunFolderError: no metrics, or the run has no such validation.
    """
    found, held_out = {}, validations(run.require_metrics())
    for validation in held_out:
        measured = validation.history[-1] if last else validation.history[0]
        found[validation.source.removeprefix(SOURCE)] = 100 * measured.value
    if not found:
        raise RunFolderError(f"{run.path} has no validation (trainer.test_freq, trainer.val_before_train)")
    title = run_title(run)
    asked = any(validation.source.startswith(SOURCE) for validation in held_out)
    note = f"{title}: benchmarks as its validation asked them, the mean of at most zppo.evaluate.limit questions."
    return Side(title, found, run.path, note if asked else "")
