"""Every command and key that README, docs and examples name is one that the code takes. Nothing is run."""

import argparse
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from recipe.zppo.config.command import GROUPS, check_arguments
from recipe.zppo.config.commands import COMMANDS
from recipe.zppo.config.compose import CONFIG_DIR
from recipe.zppo.data.conversion import ConvertSettings
from recipe.zppo.data.corpus_settings import CorpusSettings
from recipe.zppo.data.settings import read_settings
from recipe.zppo.errors import ConfigError
from recipe.zppo.evaluate.settings import EvaluateSettings
from recipe.zppo.study.config import read_config
from tests.composed import compose
from tests.docs.test_pages import FENCE, OTHERS, PAGES

TRAINERS = ("verl.trainer.main_zppo", "recipe.zppo.local", "benchmarks.candidate_forms")
SETTINGS = {
    "recipe.zppo.data.convert": ConvertSettings,
    "recipe.zppo.data.zppo_77k": CorpusSettings,
    "recipe.zppo.evaluate": EvaluateSettings,
}
STARTS = re.compile(r"^ *zppo |(?:^|[ /])python3? -m (?P<module>(?:recipe|verl|benchmarks)\.[\w.]+)")
OVERRIDE = re.compile(r"`(\+?(?:zppo|data|trainer)\.[\w.]+=[^`\s]*|(?:method|preset|platform)=\w+)`")
"""In prose. Keys of others are mentioned too, such as those of the authors' own code."""


class Parsed(Exception):
    """The arguments were taken."""


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """(module, arguments) of every command in a block of code; what stands for more of them is left out."""
    for block in FENCE.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("```") or not (start := STARTS.search(line)):
                continue
            words = [word for word in shlex.split(line[start.end() :], comments=True) if word != "..."]
            if module := start["module"]:
                yield module, words
                continue
            count = 2 if " ".join(words[:2]) in COMMANDS else 1
            yield COMMANDS[" ".join(words[:count])][0], words[count:]


def cases() -> Iterator[tuple[Path, str, list[str]]]:
    for page in [*PAGES, *OTHERS]:
        yield from ((page, module, words) for module, words in commands(page))


def main_of(module: str) -> Callable[[], object]:
    try:
        return import_module(f"{module}.__main__").main
    except ModuleNotFoundError:
        return import_module(module).main


def key_is_there(config: DictConfig, override: str) -> bool:
    """Of the composed configuration; a key that is added needs none."""
    parsed = OverridesParser.create().parse_override(override)
    name, value = parsed.key_or_group, parsed.value()
    if name in GROUPS:
        return CONFIG_DIR.joinpath(name, f"{value}.yaml").is_file()
    node = config
    for part in name.split(".") if not parsed.is_add() else ():
        if not isinstance(node, DictConfig) or part not in node:
            return False
        node = node[part]
    return True


@pytest.fixture(scope="module")
def config() -> DictConfig:
    return compose()


def check(module: str, words: Sequence[str], config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    if module in TRAINERS:
        overrides = [word for word in words if "=" in word]
        check_arguments(overrides)
        assert [word for word in overrides if not key_is_there(config, word)] == []
    elif module in SETTINGS:
        read_settings(SETTINGS[module], words, "")
    elif module == "recipe.zppo.study":
        read_config(list(words))
    else:
        parse = argparse.ArgumentParser.parse_args

        def parsed(self: argparse.ArgumentParser, *_: object) -> None:
            parse(self, words)
            raise Parsed

        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
        monkeypatch.setattr("sys.argv", [module, *words])
        with pytest.raises(Parsed):
            main_of(module)()


CASES = list(cases())


@pytest.mark.parametrize(
    ("module", "words"), [case[1:] for case in CASES], ids=[f"{page.stem}-{module}" for page, module, _ in CASES]
)
def test_a_command_is_taken(module: str, words: list[str], config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    check(module, words, config, monkeypatch)


def test_what_is_no_command_is_found(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(CASES) > 40
    for module, words in (
        ("recipe.zppo.local", ["zppo.treshold=0.4"]),
        ("recipe.zppo.local", ["data.no_such=1"]),
        ("recipe.zppo.local", ["method=grop"]),
        ("recipe.zppo.evaluate", ["model=a", "jugde=null"]),
        ("recipe.zppo.study", ["stepz=3"]),
        ("recipe.zppo.report", ["RUN", "--sreve"]),
    ):
        with pytest.raises((ConfigError, AssertionError, SystemExit)):
            check(module, words, config, monkeypatch)


def test_a_key_with_a_value_is_there(config: DictConfig) -> None:
    written = {(page.name, found) for page in [*PAGES, *OTHERS] for found in OVERRIDE.findall(page.read_text())}
    assert len(written) > 100
    assert sorted(each for each in written if not key_is_there(config, each[1])) == []
