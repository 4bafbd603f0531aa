"""A reward function of the user's is there, and gives what ZPPO needs, before anything is started for it."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.columns import Columns
from recipe.zppo.on_verl.row_files import read_rows, read_schema
from recipe.zppo.preflight.data_files import local_files
from recipe.zppo.reward_result import binarized

LIMIT_S = 60.0
COLUMNS = ("data_source", "reward_model", "extra_info")


def check_reward_function(config: DictConfig) -> None:
    """The function is found, and is asked about two answers to the first training row: the gold one, and nonsense.

    One that takes longer than a minute (a model behind an address, say) is said, and not checked. Ours are not asked.

    Raises:
        ConfigError: it can't be imported, fails, or gives something else than 0, 1 or a dictionary with such a `score`.
    """
    model, own = config.reward.reward_model, config.reward.custom_reward_function
    key = "reward.custom_reward_function"
    if model.enable and not model.enable_resource_pool:
        raise ConfigError(
            "reward.reward_model.enable: a reward model beside the student would score after the hard-question stage; "
            "set reward.reward_model.enable_resource_pool=true to give it accelerators of its own"
        )
    if not own.path:
        raise ConfigError(
            f"{key}.path: must be set; verl's built-in scores are not confined to 0 and 1 "
            "(pkg://recipe.zppo.reward is the paper's reward)"
        )
    file = Path(str(own.path).removeprefix("file://")).expanduser()
    remote = "://" in str(own.path).removeprefix("file://")
    if not remote and not file.is_file():
        raise ConfigError(f"{key}.path: {own.path} does not exist")
    if str(own.path).startswith("pkg://recipe.zppo.") or (remote and not str(own.path).startswith("pkg://")):
        return
    if (row := _first_row(config)) is None:
        return
    request = {
        "path": str(own.path) if remote else str(file),
        "name": own.name,
        "kwargs": OmegaConf.to_container(own.get("reward_kwargs") or OmegaConf.create({}), resolve=True),
        "form": config.zppo.answer.form,
        "row": row,
    }
    reply = _ask(request)
    if reply is None:
        print(f"zppo: {key}: no answer within {LIMIT_S:.0f} s, so what it gives was not checked", file=sys.stderr)
        return
    if "name" in reply:
        raise ConfigError(f"{key}.name: {reply['name']}")
    if "problem" in reply:
        raise ConfigError(f"{key}.path: {reply['problem']}")
    for score in reply["scores"]:
        if problem := _problem(score, config.zppo.reward.binarize):
            raise ConfigError(f"{key}.path: {own.name} {problem}; docs/guides/reward.md says what it should give")


def _problem(score: Any, binarize: str | None) -> str:
    value = binarized(score.get("score") if isinstance(score, dict) else score, binarize)
    if isinstance(score, dict) and "score" not in score:
        return f"gives a dictionary without 'score' ({', '.join(map(str, score)) or 'empty'})"
    if not isinstance(value, int | float) or value not in (0, 1):
        points = isinstance(value, float) and binarize is None
        remedy = " (zppo.reward.binarize='>=0.5' makes points such a reward)" if points else ""
        return f"gives {value!r} for row 0; a reward is exactly 0 or 1{remedy}"
    return ""


def _first_row(config: DictConfig) -> dict[str, Any] | None:
    """Of the first training file on this machine that can be read, without its images; the data checks come next."""
    columns = Columns(config.data)
    for file in local_files(config.data, "train_files"):
        try:
            there = read_schema(file, columns.answers).names
            wanted = [name for name in (columns.in_file(name, there) for name in COLUMNS) if name in there]
            rows = [columns.row(row) for row in islice(read_rows(file, wanted, 1, columns.answers), 1)]
            json.dumps(rows)
        except Exception:
            continue
        if rows and isinstance(rows[0].get("reward_model"), dict) and "ground_truth" in rows[0]["reward_model"]:
            return rows[0]
    return None


def _ask(request: dict[str, Any]) -> dict[str, Any] | None:
    """None where the time is over."""
    command = [sys.executable, "-m", "recipe.zppo.preflight.try_reward"]
    try:
        done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return None
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = (done.stderr.splitlines() or ["nothing was said"])[-1]
        return {"problem": f"its process ended with status {done.returncode}: {last}"}
