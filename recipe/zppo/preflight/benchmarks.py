"""Benchmarks during training (`zppo.evaluate`): what can't work is refused, the rest becomes a validation file each.

The files lie in the run's folder, `benchmarks/<name>-<limit>.parquet`, and are appended to `data.val_files`, so that
either back end asks them through its own servers. A start that finds a benchmark's file goes on with it.
"""

from pathlib import Path

from omegaconf import DictConfig, open_dict

from recipe.zppo.benchmarks.contract import Benchmark, Family, Scoring
from recipe.zppo.benchmarks.registry import select
from recipe.zppo.benchmarks.validation_files import Form, write_questions
from recipe.zppo.config.run_keys import EvaluateConfig
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError, DataError
from recipe.zppo.preflight.data_files import check_types, data_files
from recipe.zppo.preflight.media import has_processor
from recipe.zppo.preflight.models import planned_elsewhere

FOLDER = "benchmarks"

_KEY = "zppo.evaluate.benchmarks"


def check_benchmarks(config: DictConfig, zppo: ZPPOConfig) -> None:
    """What can be known without reading a benchmark.

    Raises:
        ConfigError: an unknown name, a benchmark that this run can't ask or score, a folder that is not there, or a key
            under which it would not be asked.
    """
    if not zppo.evaluate.benchmarks:
        return
    for benchmark in chosen(zppo.evaluate):
        name = benchmark.name
        if benchmark.family is Family.VIDEO:
            raise ConfigError(
                f"{_KEY}: {name} has videos, which validation does not ask; measure it after training, by python -m "
                "recipe.zppo.evaluate"
            )
        if benchmark.scoring is Scoring.BENCHMARK_JUDGE and not zppo.judge.enable:
            raise ConfigError(
                f"zppo.judge.enable: {name} is scored by a judge; set it to true, or take {name} out of {_KEY}"
            )
        if not planned_elsewhere(config):
            _check_machine(benchmark, zppo.evaluate)
    if config.trainer.test_freq <= 0 and not config.trainer.val_before_train:
        raise ConfigError(f"trainer.test_freq: no validation would ask {_KEY}; set the steps between two validations")
    if (config.data.get("val_max_samples") or -1) > 0:
        raise ConfigError(f"data.val_max_samples: it would cut {_KEY} off; leave it at -1, see zppo.evaluate.limit")


def _check_machine(benchmark: Benchmark, keys: EvaluateConfig) -> None:
    """Raises `ConfigError` for a copy that is not there, or packages that its metric needs."""
    folder = Path(_data(keys) or "", benchmark.source.dataset)
    if keys.data and not folder.is_dir():
        raise ConfigError(f"zppo.evaluate.data: {benchmark.name} needs the folder {folder}, which is not there")
    try:
        if benchmark.check is not None:
            benchmark.check()
    except ConfigError as error:
        raise ConfigError(f"{_KEY}: {error}") from error


def chosen(keys: EvaluateConfig) -> list[Benchmark]:
    """
    Raises:
        ConfigError: see `select`.
    """
    try:
        return select(keys.benchmarks)
    except ConfigError as error:
        raise ConfigError(f"zppo.evaluate.{error}") from error


def add_benchmarks(config: DictConfig, *, pictures: bool = True) -> None:
    """Write the files that are not there, and append all to `data.val_files`. The checks have passed.

    Args:
        pictures: the back end shows them to a student with a processor.

    Raises:
        ConfigError: a data set can't be had or read, the model would not see its images, or a file of the user's is of
            other types.
    """
    keys, data = validate_zppo(config.zppo).evaluate, config.data
    if not keys.benchmarks:
        return
    sees = pictures and has_processor(config.actor_rollout_ref.model.path)
    form = Form(data.get("prompt_key") or "prompt", data.get("image_key") or "images", sees)
    files = []
    for benchmark in chosen(keys):
        path = Path(str(config.trainer.default_local_dir), FOLDER, f"{benchmark.name}-{keys.limit or 'all'}.parquet")
        if not path.exists():
            print(f"zppo: reading {benchmark.name} ({benchmark.source.dataset}) for validation", flush=True)
        try:
            write_questions(path, benchmark, _data(keys), keys.limit, form)
        except DataError as error:
            raise ConfigError(f"{_KEY}: {error}") from error
        except OSError as error:
            raise ConfigError(f"trainer.default_local_dir: {path} can't be written ({error.strerror})") from error
        files.append(str(path))
    with open_dict(data):
        data.val_files = [*data_files(data, "val_files"), *files]
    check_types(data, "val_files", own_reward=True)


def _data(keys: EvaluateConfig) -> str | None:
    return str(Path(keys.data).expanduser()) if keys.data else None
