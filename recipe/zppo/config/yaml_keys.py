"""The part of a YAML file that is written from a schema: each key with its meaning above it, and its default."""

import textwrap
from collections.abc import Iterator

import yaml

from recipe.zppo.config.engine import Group, choices, is_group

BEGIN = "# Written by `make config` from "
END = "# End of what `make config` writes."


def with_keys(text: str, model: type[Group], source: str, below: str = "") -> str:
    """`text` of a YAML file with what lies between the two marks renewed: the keys of `model`, `below` another key."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    head = [f"{BEGIN}{source}; change the keys there.", *([f"{below}:", ""] if below else [])]
    return before + "\n".join([*head, *_keys(model, "  " if below else ""), END]) + after


def in_yaml(value: object) -> str:
    """In one line."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000).removesuffix("...\n").strip()


def _keys(model: type[Group], indent: str) -> Iterator[str]:
    """A key without a default is left to the rest of the file."""
    for name, field in model.model_fields.items():
        if field.is_required():
            continue
        group = field.annotation if is_group(field.annotation) else None
        meaning = " ".join(((group.__doc__ if group else field.description) or "").split())
        if names := choices(field.annotation):
            meaning += f" One of {', '.join(names)}."
        yield from textwrap.wrap(meaning, 120, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        if group:
            yield from (f"{indent}{name}:", "", *_keys(group, indent + "  "))
        else:
            in_one_line = None if isinstance(field.default, list) else False
            default = yaml.safe_dump({name: field.default}, sort_keys=False, default_flow_style=in_one_line, width=1000)
            yield textwrap.indent(default, indent)
