"""docs/method/paper-map.md is true: what it names exists, and keys have the values that it says."""

import ast
import functools
import re
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from tests.composed import compose
from tests.examples.conftest import ROOT

PAGE = (ROOT / "docs" / "method" / "paper-map.md").read_text()
KEY = re.compile(r"((?:data|actor_rollout_ref|algorithm|reward|trainer|zppo)\.[a-zA-Z0-9_.]+)(?:=(\S+))?")
FUNCTION = re.compile(r"((?:\w+/)*\w+\.py)(?::([\w.]+))?")
TEST = re.compile(r"((?:\w+/)*test_\w+\.py)::(\w+)")


def rows() -> list[list[str]]:
    """[line, code, test, deviation] of every entry: a heading of the third level and a list of just these three."""
    found = []
    for entry in re.split(r"^### ", PAGE, flags=re.M)[1:]:
        line, _, rest = re.split(r"^## ", entry, flags=re.M)[0].partition("\n")
        items = re.split(r"^- (\w+): ", " ".join(rest.split("\n  ")), flags=re.M)
        assert items[1::2] == ["code", "test", "deviation"], line
        found.append([line, *(item.strip() for item in items[2::2])])
    return found


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@functools.cache
def defined(path: Path) -> set[str]:
    """Classes, their methods, functions and constants of a module."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (ast.FunctionDef, ast.AsyncFunctionDef)
            found.update(f"{node.name}.{child.name}" for child in node.body if isinstance(child, inner))
        if isinstance(node, ast.Assign):
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return found


@functools.cache
def configs() -> list[DictConfig]:
    return [compose((f"model_engine={engine}",)) for engine in ("dp", "megatron")]


def values_of(key: str) -> list:
    """Values under the engines that have the key."""
    found = []
    for config in configs():
        node, _, leaf = key.rpartition(".")
        parent = OmegaConf.select(config, node)
        if isinstance(parent, DictConfig) and leaf in parent:
            found.append(parent[leaf])
    return found


def wrong_names(page_rows: list[list[str]]) -> list[str]:
    wrong = []
    for _, implements, pinned, _ in page_rows:
        for name in names(implements):
            if match := KEY.fullmatch(name):
                key, text = match.groups()
                values = [OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for v in values_of(key)]
                if not values or (text and _value(text) not in values):
                    wrong.append(f"{name}, but it is {values}")
            elif match := FUNCTION.fullmatch(name):
                path = ROOT / "recipe" / "zppo" / match[1]
                if not path.is_file() or (match[2] and match[2] not in defined(path)):
                    wrong.append(name)
            elif "{" not in name and not (ROOT / name).is_file():
                wrong.append(name)
        for name in names(pinned):
            match = TEST.fullmatch(name)
            path = ROOT / "tests" / match[1] if match else None
            if path is None or not path.is_file() or match[2] not in defined(path):
                wrong.append(name)
    return wrong


def _value(text: str) -> object:
    value = yaml.safe_load(text)
    try:
        return float(value) if isinstance(value, str) else value  # YAML 1.1 reads 1e-06 as a text
    except ValueError:
        return value


def test_everything_that_is_named_is_there() -> None:
    assert len(rows()) > 50 and {len(row) for row in rows()} == {4}
    assert wrong_names(rows()) == []


def test_every_line_says_how_it_is_implemented_and_pinned() -> None:
    unpinned = [row[0] for row in rows() if not names(row[2])]
    assert unpinned == ["Qwen3.5's hybrid attention"]
    assert all(row[1] and row[3] for row in rows())


@pytest.mark.parametrize(
    "row",
    [
        ["", "`zppo.thresold=0.5`", "", ""],
        ["", "`zppo.threshold=0.4`", "", ""],
        ["", "`actor_rollout_ref.actor.optim.lr=1e-05`", "", ""],
        ["", "`actor_rollout_ref.actor.optim.exp_avg_dtype=fp32`", "", ""],
        ["", "`selection.py:select`", "", ""],
        ["", "`selections.py`", "", ""],
        ["", "`constraints/tpu.txt`", "", ""],
        ["", "", "`core/test_selection.py::test_selection`", ""],
    ],
)
def test_a_wrong_name_is_found(row: list[str]) -> None:
    assert len(wrong_names([row])) == 1


def test_adamw_as_table_8_has_it() -> None:
    """What verl's engines make of the keys: the state's type, betas, and eps, for which there is no key."""
    import torch
    from verl.workers.config.optimizer import build_optimizer

    fsdp, megatron = (config.actor_rollout_ref.actor for config in configs())
    weight = torch.nn.Parameter(torch.ones(4, dtype=getattr(torch, fsdp.fsdp_config.model_dtype)))
    adamw = build_optimizer([weight], OmegaConf.create(OmegaConf.to_container(fsdp.optim, resolve=True)))
    weight.grad = torch.ones_like(weight)
    adamw.step()
    (group,), state = adamw.param_groups, adamw.state[weight]
    assert (group["lr"], group["beta1"], group["beta2"], group["weight_decay"], group["eps"]) == (
        1e-6,
        0.9,
        0.999,
        0.1,
        1e-8,
    )
    assert group["kahan_sum"] and not group["decouple_lr"]
    assert {key: value.dtype for key, value in state.items()} == dict.fromkeys(
        ("exp_avg", "exp_avg_sq", "kahan_comp"), torch.bfloat16
    )
    assert (megatron.optim.optimizer, megatron.optim.main_grads_dtype) == ("adam", "fp32")
    assert megatron.megatron.use_distributed_optimizer  # a precision-aware optimizer is one
