"""The command line of a training run: `key=value ...`, composed by Hydra, and each mistake in it said in one line.

Both trainers take the same arguments. Hydra's own messages take several lines and name no remedy; its folders
`outputs/<date>` and its log file are not made, since a run has a folder of its own.
"""

import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from recipe.zppo.config import ending
from recipe.zppo.config.compose import CONFIG_DIR, check_overrides, compose, register_search_path
from recipe.zppo.config.defaults import check_against_defaults
from recipe.zppo.config.engine import did_you_mean, unknown_key
from recipe.zppo.errors import ConfigError, first_line

GROUPS = ("method", "platform", "preset", "model_engine")
"""What is chosen by name, a file each: `method=grpo`."""

HELP = """\
usage: {command} key=value ...

{about}

  data.train_files=F data.val_files=F       parquet, JSON or JSONL: prompt, reward_model.ground_truth
  data.columns.prompt=question              a column of another name; likewise answer, images, data_source
  actor_rollout_ref.model.path=M            the student, a folder or hub id
  zppo.teacher.path=T                       the teacher, likewise
  method=zppo                               {methods}
  {platform:<42}{platforms}
  preset=paper                              {presets}
  trainer.default_local_dir=RUN             the run's folder; the same command goes on from its last checkpoint
  data.train_batch_size=384                 new questions a step
  data.max_prompt_length=4096               tokens; data.max_response_length=12288
  actor_rollout_ref.rollout.n=8             responses to a question
  trainer.total_training_steps=N            by default one pass over the data
  zppo.dry_run=true                         says what would run and whether it fits, and stops

  --config-name NAME --config-dir FOLDER    a config file of yours, whose defaults list starts with zppo_trainer
  --cfg job [--resolve]                     print the composed configuration
  --help=full, --version

A value with spaces or = needs quotes that Hydra sees: "data.train_files='a=b.parquet'".
Keys of ours: docs/reference/config.md. Others are verl's. Exit status: 0 complete, 1 failed, 2 can't work, 130
interrupted."""

# Hydra's options that take a value in the next argument.
_WITH_VALUE = ("--config-name", "-cn", "--config-path", "-cp", "--config-dir", "-cd", "--cfg", "-c", "--package", "-p")
_ALONE = ("--resolve", "--info", "-i", "--hydra-help", "--shell-completion", "-sc", "--help", "--help=full")
_OUR_HYDRA = {"hydra.run.dir": ".", "hydra.output_subdir": "null", "hydra/job_logging": "stdout"}


@ending.command()
def run_command(command: str, about: str, launch: Callable[[DictConfig], int], defaults: Sequence[str] = ()) -> int:
    """Compose the configuration that `sys.argv` asks for, and launch it; the exit status of the process.

    Args:
        command: how it is called, for the help.
        about: what it does, in a sentence or two.
        launch: checks and trains; returns the exit status.
        defaults: choices of groups for those that the arguments leave open, such as `platform=cpu`.
    """
    arguments = sys.argv[1:]
    if "--version" in arguments:
        print(f"open-zppo {version('open-zppo')}, verl {version('verl')}, torch {version('torch')}, Python {_python()}")
        return 0
    if {"--help", "-h"} & set(arguments):
        platform = next((choice for choice in defaults if choice.startswith("platform=")), "platform=gpu")
        methods = textwrap.fill(_names("method"), 76).replace("\n", "\n" + 44 * " ")
        print(
            HELP.format(
                command=command,
                about=about,
                methods=methods,
                platform=platform,
                platforms=_names("platform"),
                presets=_names("preset"),
            )
        )
        return 0
    status, composed = 0, False  # 0 also where Hydra only shows something
    full_errors = os.environ.get("HYDRA_FULL_ERROR")

    def task(config: DictConfig) -> None:
        nonlocal status, composed
        composed = True
        if full_errors is None:
            del os.environ["HYDRA_FULL_ERROR"]
        choices = HydraConfig.get().runtime.choices
        try:
            defaults = hydra.compose("zppo_trainer", [f"{group}={choices[group]}" for group in GROUPS])
            check_against_defaults(config, defaults, GROUPS)
            OmegaConf.to_container(config, resolve=True)
        except (ConfigError, OmegaConfBaseException) as error:
            print(f"zppo: {error if isinstance(error, ConfigError) else unfilled(error)}", file=sys.stderr)
            status = 2
            return
        if config.zppo.get("dry_run") is True:  # it only prints, as other commands do
            status = ending.command()(launch)(config)
            return
        try:
            status = launch(config)
        except ending.UNREADABLE:  # of a run under way: where it comes from must be seen
            traceback.print_exc()
            status = 1

    try:
        check_arguments(arguments)
        sys.argv[1:] = _for_hydra(arguments, defaults)
        register_search_path()
        os.environ["HYDRA_FULL_ERROR"] = "1"  # raises instead of printing
        hydra.main(config_path=str(CONFIG_DIR), config_name="zppo_trainer", version_base=None)(task)()
    except (ConfigError, HydraException, OmegaConfBaseException, ValueError, YAMLError) as error:
        if composed:
            raise
        print(f"zppo: {error if isinstance(error, ConfigError) else mistake(error, arguments)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("zppo: interrupted before anything was trained", file=sys.stderr)
        return 130
    return status


def _for_hydra(arguments: Sequence[str], defaults: Sequence[str]) -> list[str]:
    """Options, then what the arguments leave open, then their overrides: Hydra takes overrides in one row only."""
    options: list[str] = []
    overrides: list[str] = []
    previous = ""
    for argument in arguments:
        is_option = argument.startswith("-") or previous in _WITH_VALUE
        (options if is_option else overrides).append("--help" if argument == "--help=full" else argument)
        previous = argument

    def said(key: str) -> bool:
        return any(argument.lstrip("+").startswith(f"{key}=") for argument in overrides)

    quiet = [f"{key}={value}" for key, value in _OUR_HYDRA.items() if not said(key)]
    chosen = [default for default in defaults if not said(default.partition("=")[0])]
    return [*options, *quiet, *chosen, *overrides]


def check_arguments(arguments: Sequence[str]) -> None:
    """
    Raises:
        ConfigError: an argument is no key=value, asks for many runs, or names a key of `zppo.` that is not one of ours.
    """
    previous = ""
    if {"--multirun", "-m"} & set(arguments):
        raise ConfigError("--multirun: a command trains one run; for many: python -m recipe.zppo.study")
    for argument in arguments:
        if argument.startswith("-") and argument.partition("=")[0] not in (*_WITH_VALUE, *_ALONE):
            raise ConfigError(f"{argument}: there is no such option; keys are set without dashes; --help shows both")
        if not argument.startswith(("-", "~")) and "=" not in argument and previous not in _WITH_VALUE:
            raise ConfigError(
                f"{argument!r} is not key=value; a value with spaces needs quotes: \"data.train_files='a b.parquet'\""
            )
        previous = argument
    check_overrides(arguments)


def mistake(error: Exception, arguments: Sequence[str]) -> str:
    """What Hydra found, in one line with the remedy."""
    text = " ".join(str(error).split())
    if isinstance(error, YAMLError):
        return f"a config file is no YAML: {text}"
    if (found := re.search(r"Could not find '([\w/]+)/([^'/]+)'", text)) and found[1] in GROUPS:
        return f"{found[1]}={found[2]}: there is none of that name; one of {_names(found[1])}"
    if found := re.search(r"Could not override '/?([^']+)'", text):
        return _known_beside(found[1]) or first_line(error)
    if found := re.search(r"Could not append to config\. An item is already at '([^']+)'", text):
        return f"+{found[1]}: the key is there already; set it without the plus"
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and not argument.startswith("-") and not _parses(argument):
            return (
                f"{key}: {value!r} can't be read; a value with =, a comma, a colon or brackets needs quotes that Hydra "
                f"sees: \"{key}='{value}'\""
            )
    return f"the configuration can't be composed: {first_line(error)}"


def unfilled(error: OmegaConfBaseException) -> str:
    """What is said of a `${...}` that points to nothing."""
    return f"{error.full_key}: the configuration can't be filled in: {first_line(error)}"


def _parses(argument: str) -> bool:
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True


def _known_beside(key: str) -> str:
    """What is said of a key that does not exist, and where it fails."""
    if "/" in key or key in GROUPS:
        return f"{key}: there is no such group of files; did you mean one of {', '.join(GROUPS)}?"
    node, path = compose(), ""
    for part in key.split("."):
        if not isinstance(node, DictConfig):
            return f"{key}: {path} is a value, it has no keys of its own"
        if part not in node:
            known = [str(name) for name in node]
            return (
                unknown_key(part, known, path, full=True)
                if path
                else (f"{part}: unknown key; {did_you_mean(part, [*known, *GROUPS], otherwise='known keys')}")
            )
        node, path = node[part], f"{path}.{part}" if path else part
    return ""


def _names(group: str) -> str:
    """Of the files in one of our groups; empty where it is not ours."""
    return ", ".join(_files(group))


def _files(group: str) -> Iterator[str]:
    yield from sorted(file.stem for file in (CONFIG_DIR / group).glob("*.yaml"))


def _python() -> str:
    return ".".join(map(str, sys.version_info[:3]))
