"""`make config`: the YAML files and docs/reference/config.md say what the schemas say."""

import re
from pathlib import Path

import pytest

from recipe.zppo.config.engine import Group, is_group
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.yaml_keys import BEGIN
from recipe.zppo.data.conversion import ConvertSettings
from recipe.zppo.data.corpus_settings import CorpusSettings
from recipe.zppo.evaluate.settings import EvaluateSettings
from recipe.zppo.study.keys import RowKeys, StudyConfig
from recipe.zppo.write_config import PAGE, written


@pytest.mark.parametrize(("path", "text"), [pytest.param(*item, id=item[0].name) for item in written().items()])
def test_a_file_is_what_make_config_would_write(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run `make config`"
    assert max(map(len, text.splitlines())) <= 120 and (path == PAGE or text.count(BEGIN) == 1)


def keys(model: type[Group], prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        found += keys(field.annotation, f"{prefix}{name}.") if is_group(field.annotation) else [prefix + name]
    return found


def test_the_page_has_every_key_with_its_meaning() -> None:
    page = PAGE.read_text(encoding="utf-8")
    items = re.findall(r"^- \*\*`(\S+)`\*\*\s\([^)]+\):\s\S", page, re.M)
    commands = (ConvertSettings, CorpusSettings, EvaluateSettings, StudyConfig)
    expected = [*keys(ZPPOConfig, "zppo."), *(name for command in commands for name in keys(command))]
    assert sorted(items) == sorted([*expected, *keys(RowKeys, "rows.<name>.")])
