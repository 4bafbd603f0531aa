"""``python -m recipe.zppo.write_config``: the keys in the YAML files and docs/reference/config.md, from the schemas."""

from collections.abc import Iterator
from pathlib import Path

from recipe.zppo.config.paths import CONFIG_DIR, ROOT
from recipe.zppo.config.reference import methods, section
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.yaml_keys import with_keys
from recipe.zppo.data.conversion import ConvertSettings
from recipe.zppo.data.corpus_settings import CorpusSettings
from recipe.zppo.evaluate.settings import EvaluateSettings
from recipe.zppo.study.config import CONFIG_DIR as STUDY_DIR
from recipe.zppo.study.keys import RowKeys, StudyConfig

PAGE = ROOT / "docs" / "reference" / "config.md"
HEAD = """\
# Configuration reference

Written by `make config` from the schemas: change a text there, not here. Keys of verl, such as `trainer.*`, are in
verl's own documentation; those with another default here are in `verl/trainer/config/zppo_trainer.yaml`.
"""


def written() -> dict[Path, str]:
    """The files and what they should hold."""
    trainer, study = CONFIG_DIR / "zppo_trainer.yaml", STUDY_DIR / "study.yaml"
    return {
        trainer: with_keys(trainer.read_text(encoding="utf-8"), ZPPOConfig, "recipe/zppo/config/", "zppo"),
        study: with_keys(study.read_text(encoding="utf-8"), StudyConfig, "recipe/zppo/study/keys.py"),
        PAGE: "\n".join([HEAD, *page()]) + "\n",
    }


def page() -> Iterator[str]:
    yield from section(ZPPOConfig, "## `zppo`", prefix="zppo.", configs=methods())
    yield from ("", *section(ConvertSettings, "## Converting data"))
    yield from ("", *section(CorpusSettings, "## Building ZPPO-77K"))
    yield from ("", *section(EvaluateSettings, "## Evaluating"))
    yield from ("", *section(StudyConfig, "## The study"))
    yield from ("", *section(RowKeys, "### `rows.<name>`", prefix="rows.<name>."))


def main() -> None:
    for path, text in written().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
