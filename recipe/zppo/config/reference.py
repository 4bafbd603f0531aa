"""A section of docs/reference/config.md: the keys of one group, what each takes, means, and who uses it."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from recipe.zppo.config.engine import DescribedAs, Group, bounds_in_words, is_group, takes_null, type_in_words
from recipe.zppo.config.paths import CONFIG_DIR
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.yaml_keys import in_yaml


def methods() -> dict[str, ZPPOConfig]:
    """Of every `method=`, the `zppo` node."""
    files = sorted((CONFIG_DIR / "method").glob("*.yaml"))
    nodes = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) or {} for file in files}
    return {name: ZPPOConfig.model_validate(node.get("zppo", {})) for name, node in nodes.items()}


def section(
    model: type[Group], title: str, *, prefix: str = "", used: str = "", configs: Mapping[str, ZPPOConfig] | None = None
) -> Iterator[str]:
    """Lines of Markdown: a list of the keys, then a section of each group below them.

    Args:
        prefix: what stands before the keys, with its dot.
        used: the methods that use the group; empty for all.
        configs: `methods()`, where methods matter.
    """
    meaning = " ".join((model.__doc__ or "").split()) + (f" Used by {used}." if used else "")
    yield from (title, "", *textwrap.wrap(meaning, 120), "")
    groups = {}
    for name, field in model.model_fields.items():
        users = _users(field, used, configs or {})
        if is_group(field.annotation):
            groups[name] = field.annotation, users
        else:
            yield from _item(f"{prefix}{name}", field, users if users != used else "")
    for name, (group, users) in groups.items():
        heading = f"### `{prefix}{name}`"
        yield ""
        yield from section(group, heading, prefix=f"{prefix}{name}.", used=users, configs=configs)


def _item(name: str, field: FieldInfo, users: str) -> list[str]:
    kind = type_in_words(field.annotation, field.metadata) + (" or null" if takes_null(field.annotation) else "")
    described = any(isinstance(note, DescribedAs) for note in field.metadata)
    default = "must be given" if field.is_required() else f"default `{in_yaml(field.default)}`"
    facts = ", ".join(filter(None, [kind, "" if described else bounds_in_words(field), default]))
    meaning, paper = " ".join((field.description or "").split()).removesuffix("."), _extra(field, "paper")
    notes = [f"{meaning}.", paper and f"Paper: {paper}.", users and f"Used by {users}."]
    text = f"- **`{name}`** ({facts}): {' '.join(filter(None, notes))}"
    return textwrap.wrap(text, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _users(field: FieldInfo, inherited: str, configs: Mapping[str, ZPPOConfig]) -> str:
    """Names of the methods that use a key; empty where all do."""
    if (test := _extra(field, "used")) is None:
        return inherited
    names = [name for name, config in configs.items() if test(config)]
    return ", ".join(f"`{name}`" for name in names) if len(names) < len(configs) else "every method"


def _extra(field: FieldInfo, name: str) -> Any:
    return (field.json_schema_extra or {}).get(name)
