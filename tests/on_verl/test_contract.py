"""What verl keeps to itself and we build on, compared with the installed verl: a new version is judged in a second.

Everything is read from source files, so that neither verl nor an engine is imported.
"""

import ast
import functools
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from recipe.cpu.contract import CONTRACT as CPU_CONTRACT
from recipe.zppo.on_verl.contract import CONTRACT

ROOT = Path(__file__).parents[2]
ENTRIES = {
    f"{scope}{'.' if ':' in scope else ':'}{name}": entry
    for scope, entries in (CONTRACT | CPU_CONTRACT).items()
    for name, entry in entries.items()
}
OTHERS = {
    *("_asdict", "_attn_implementation", "_exit", "_from_config", "_getframe", "_indices"),
    *("_initializing", "_is_mkldnn_bf16_supported", "_linear_pointwise", "_model_mapping", "_normalize"),
    *("_reorder_linear_weight", "_replace", "_supports_attention_backend"),
}
"""Private names of Python, torch, transformers, datasets and mathruler that we reach."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Assignment = ast.Assign | ast.AnnAssign
Definition = ast.ClassDef | Function | Assignment


def file_of(module: str) -> Path:
    top, *rest = module.split(".")
    folder = ROOT / "recipe" if top == "recipe" else Path(find_spec(top).submodule_search_locations[0])
    path = folder.joinpath(*rest)
    return path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"


@functools.cache
def source(module: str) -> ast.Module:
    return ast.parse(file_of(module).read_text())


@functools.cache
def members(scope: ast.Module | Definition) -> dict[str, Definition]:
    """What a module or class defines, by name; of a class and a function also the attributes that they set."""
    nodes = list(getattr(scope, "body", ()))
    if not isinstance(scope, ast.Module):
        nodes += [node for node in ast.walk(scope) if isinstance(node, Assignment)]
    found: dict[str, Definition] = {}
    for node in nodes:
        if isinstance(node, Assignment):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in [part for each in targets for part in getattr(each, "elts", [each])]:
                if isinstance(target, ast.Attribute):
                    found.setdefault(target.attr, node)
                elif isinstance(target, ast.Name) and node in scope.body:
                    found.setdefault(target.id, node)
        elif isinstance(node, Definition):
            found.setdefault(node.name, node)
    return found


def look_up(place: str) -> Definition | None:
    module, _, path = place.partition(":")
    try:
        return functools.reduce(lambda scope, name: members(scope)[name], path.split("."), source(module))
    except (FileNotFoundError, KeyError):
        return None


def signature(node: Definition | None) -> str:
    """A function's arguments without their types, a class's bases, an attribute's value if it is short."""
    if node is None:
        return "gone"
    if isinstance(node, Assignment):
        value = ast.unparse(node.value) if node.value else ""
        return f"= {value if len(value) < 60 else '...'}"
    marks = "".join(f"@{ast.unparse(mark)} " for mark in node.decorator_list)
    if isinstance(node, ast.ClassDef):
        return f"{marks}({', '.join(map(ast.unparse, node.bases))})"
    plain = ast.parse(ast.unparse(node.args).join(("def f(", "): ..."))).body[0].args
    for argument in ast.walk(plain):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    return f"{marks}{'async ' * isinstance(node, ast.AsyncFunctionDef)}({ast.unparse(plain)})"


@functools.cache
def imports(module: str) -> dict[str, tuple[str, str]]:
    """Module and name there of what a module imports from this project and from verl."""
    package = module.split(".")[: None if file_of(module).stem == "__init__" else -1]
    found = {}
    for node in ast.walk(source(module)):
        if isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*parents, node.module or ""]).rstrip(".")
            if target.split(".")[0] in ("recipe", "verl"):
                found |= {alias.asname or alias.name: (target, alias.name) for alias in node.names}
    return found


def lineage(module: str, name: str) -> Iterator[tuple[str, ast.ClassDef]]:
    """A class and its bases in this project and in verl, along imports, aliases and Ray's wrappers."""
    node = members(source(module)).get(name)
    if isinstance(node, ast.ClassDef):
        yield module, node
        for base in node.bases:
            yield from lineage(module, ast.unparse(base).partition(".")[0])
    elif isinstance(node, ast.Assign):
        yield from lineage(module, ast.unparse(node.value).partition(".")[0])
    elif name in imports(module):
        yield from lineage(*imports(module)[name])


def private(name: object) -> bool:
    return isinstance(name, str) and (name == "__ray_metadata__" or (name[0:1] == "_" and name[-2:] != "__"))


def inherited(module: str, name: str) -> Iterator[str]:
    """Places of the private things of verl that a class of ours overrides, calls or sets."""
    classes = list(lineage(module, name))
    theirs = [(place, node) for place, node in classes if place.startswith("verl.")]
    for node in (node for place, node in classes if theirs and place.startswith("recipe.")):
        attributes = [part for part in ast.walk(node) if isinstance(part, ast.Attribute)]
        used = {part.attr for part in attributes if ast.unparse(part.value) in ("self", "cls", "super()")}
        for attribute in filter(private, used | members(node).keys()):
            yield from [f"{place}:{base.name}.{attribute}" for place, base in theirs if attribute in members(base)][:1]


def reached(module: str) -> Iterator[str]:
    """Private names that a module takes from something other than its own class."""
    for node in ast.walk(source(module)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls", "super()"):
            yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr":
            yield from (argument.value for argument in node.args[1:2] if isinstance(argument, ast.Constant))
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(("recipe", "_")):
            yield from [*(node.module or "").split("."), *(alias.name for alias in node.names)]


def test_verl_has_everything_where_we_take_it() -> None:
    now = {place: signature(look_up(place)) for place in ENTRIES}
    moved = [f"{place}: {was}, now {now[place]}" for place, (_, was) in ENTRIES.items() if now[place] != was]
    assert not moved, "\n".join(moved)


def test_everything_private_that_we_use_is_listed() -> None:
    files = sorted((ROOT / "recipe").rglob("*.py"))
    modules = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    classes = [(module, node) for module in modules for node in source(module).body if isinstance(node, ast.ClassDef)]
    places = {place for module, cls in classes for place in inherited(module, cls.name)}
    ours = {name for _, cls in classes for name in members(cls)}
    names = {name for module in modules for name in filter(private, reached(module))} - ours - OTHERS
    assert len(places) > 25 and "_select_fsdp2_wrap_targets" in names
    listed = {part for place in ENTRIES for part in [place, *re.split("[.:]", place)]} | {"__ray_metadata__"}
    assert not (places | names) - listed, "\n".join((places | names) - listed)
    users = {place: (ROOT / "recipe" / user).read_text() for place, (user, _) in ENTRIES.items()}
    assert [place for place, text in users.items() if re.split("[.:]", place)[-1] not in text] == []
