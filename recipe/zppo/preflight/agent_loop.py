"""The agent loop that the configuration chooses, or a data row for itself."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from omegaconf import DictConfig, OmegaConf

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.columns import Columns
from recipe.zppo.on_verl.row_files import read_rows, read_schema
from recipe.zppo.preflight.data_files import ROWS_PER_BATCH, local_files

COLUMN, CUTS = "agent_name", "tool_agent"
_WOULD = f"{CUTS} would cut reformulated prompts from the left at data.max_prompt_length"


def check_agent_loop(config: DictConfig, zppo: ZPPOConfig) -> None:
    """verl's loop for tools cuts what is longer than a plain prompt.

    Raises:
        ConfigError: it is every row's, and questions are reformulated.
    """
    key = "actor_rollout_ref.rollout.agent.default_agent_loop"
    if zppo.kinds and OmegaConf.select(config, key) == CUTS:
        raise ConfigError(f"{key}: {_WOULD}; leave it null, or train by method=grpo_replay")


def check_agent_names(config: DictConfig, zppo: ZPPOConfig) -> None:
    """The same of rows that name their loop. Those of validation are asked as they are.

    Raises:
        ConfigError: a training row names it, and questions are reformulated.
    """
    for file, names in named_loops(config.data, "train_files") if zppo.kinds else []:
        if CUTS in names:
            raise ConfigError(
                f"data.train_files: {file} row {names.index(CUTS)}: {COLUMN}={_WOULD}; {names.count(CUTS)} such row(s) "
                "in all; leave the column out, or train by method=grpo_replay"
            )


def named_loops(data: DictConfig, key: str) -> Iterator[tuple[str, list[Any]]]:
    """Each file of ``data.<key>`` whose rows name their loop, with the rows' names; null is the default."""
    answers = Columns(data).answers
    for file in local_files(data, key):
        try:
            if COLUMN in read_schema(file, answers).names:
                yield file, [row[COLUMN] for row in read_rows(file, [COLUMN], ROWS_PER_BATCH, answers)]
        except (pa.ArrowException, OSError):
            continue  # other checks say so
