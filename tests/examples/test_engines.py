"""FSDP or Megatron: the trainer does not know. Read from the source, since Megatron needs a GPU."""

import ast
import json
import os
import sys
from pathlib import Path

import pytest
from verl.model_merger import base_model_merger
from verl.single_controller.base.decorator import MAGIC_ATTR
from verl.workers.engine_workers import ActorRolloutRefWorker

from recipe.zppo.on_verl.export import export_hf_model
from recipe.zppo.run.checkpoint_files import COMPLETE_FILE

from .conftest import ROOT

SOURCES = sorted((ROOT / "recipe" / "zppo").rglob("*.py"))

ENGINES = (
    "megatron",
    "torch.distributed.fsdp",
    "torch.distributed._composable",
    "verl.models.mcore",
    "verl.trainer.distillation.fsdp",
    "verl.trainer.distillation.megatron",
    "verl.utils.checkpoint.fsdp_checkpoint_manager",
    "verl.utils.checkpoint.megatron_checkpoint_manager",
    "verl.utils.fsdp_utils",
    "verl.utils.megatron",
    "verl.utils.megatron_utils",
    "verl.utils.ulysses",
    "verl.workers.engine",
)
"""Modules that belong to one engine."""

# The distillation loss works on FSDP's packed logits; checks.check_distillation refuses other engines.
EXCEPTIONS = {("recipe/zppo/on_verl/distillation.py", "verl.utils.ulysses")}


def worker_group_uses(source: str) -> list[str]:
    """What is done with worker groups (names that end with `_wg` or `worker_group`): the called method, or the code."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    uses = []
    for node in ast.walk(tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if not name.endswith(("_wg", "worker_group")):
            continue
        parent = parents[node]
        call = isinstance(parent, ast.Attribute) and isinstance(parents[parent], ast.Call) and parents[parent].func
        uses.append(parent.attr if call is parent else ast.unparse(parent))
    return uses


def imports(source: str) -> set[str]:
    """Names of all modules that may be imported, inside functions as well."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def engines_imported(source: str) -> set[str]:
    return {engine for name in imports(source) for engine in ENGINES if f"{name}.".startswith(f"{engine}.")}


def test_worker_groups_are_only_called_by_what_every_engine_answers() -> None:
    """verl's worker class has one implementation for all engines; what it registers is its remote interface."""
    answered = {
        name for name in dir(ActorRolloutRefWorker) if hasattr(getattr(ActorRolloutRefWorker, name), MAGIC_ATTR)
    }
    assert {"update_actor", "compute_log_prob", "save_checkpoint"} <= answered
    uses = {use for path in SOURCES for use in worker_group_uses(path.read_text())}
    assert "update_actor" in uses
    assert uses <= answered


def test_no_module_of_an_engine_is_imported() -> None:
    found = {(str(path.relative_to(ROOT)), name) for path in SOURCES for name in engines_imported(path.read_text())}
    assert found == EXCEPTIONS


def test_the_reading_of_sources_finds_what_it_is_for() -> None:
    assert worker_group_uses("self.actor_rollout_wg.update_actor(batch)") == ["update_actor"]
    assert worker_group_uses("x = self.actor_rollout_wg.engine.module") == ["self.actor_rollout_wg.engine"]
    assert worker_group_uses("f(actor_wg)") == ["f(actor_wg)"]
    assert engines_imported("def f():\n    from torch.distributed import fsdp") == {"torch.distributed.fsdp"}
    assert engines_imported("import megatron.core as m") == {"megatron"}
    assert engines_imported("import verl.utils.megatron_utils") == {"verl.utils.megatron_utils"}


# ---- the final model


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "global_step_4"
    (folder / "actor").mkdir(parents=True)
    (folder / COMPLETE_FILE).write_text("{}")
    return folder


@pytest.fixture
def merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a stand-in for Python writes its arguments to; it makes the folder that verl's merger would."""
    python, calls = tmp_path / "python", tmp_path / "calls"
    python.write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" > {calls}\nmkdir -p "${{@: -1}}"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    return calls


@pytest.mark.parametrize(("strategy", "backend"), [("fsdp", "fsdp"), ("fsdp2", "fsdp"), ("megatron", "megatron")])
def test_the_merger_is_told_the_engine(checkpoint: Path, merges: Path, strategy: str, backend: str) -> None:
    assert export_hf_model(str(checkpoint.parent), strategy) == str(checkpoint.parent / "hf_model")
    called = merges.read_text().splitlines()
    assert called[:5] == ["-m", "verl.model_merger", "merge", "--backend", backend]
    assert called[5:7] == ["--local_dir", str(checkpoint / "actor")]


def test_what_megatron_bridge_saved_is_copied(checkpoint: Path, merges: Path) -> None:
    """verl's merger reads Megatron's own shards only, which verl does not write by default (use_mbridge)."""
    saved = Path(base_model_merger._default_hf_model_config_path("megatron", str(checkpoint / "actor")))
    saved.mkdir(parents=True)
    (saved / "config.json").write_text("{}")
    assert export_hf_model(str(checkpoint.parent), "megatron") and merges.exists()  # configs only: shards are elsewhere
    merges.unlink()
    (saved / "model-00001-of-00001.safetensors").write_text("weights")
    for _ in range(2):  # a second export replaces the first
        target = export_hf_model(str(checkpoint.parent), "megatron")
        assert sorted(os.listdir(target)) == ["config.json", "model-00001-of-00001.safetensors"]
    assert not merges.exists() and saved.is_dir()
    assert json.loads((Path(target) / "config.json").read_text()) == {}


def test_an_engine_that_the_merger_does_not_know(checkpoint: Path, merges: Path, caplog) -> None:
    assert export_hf_model(str(checkpoint.parent), "veomni") is None
    assert "does not read actor.strategy=veomni" in caplog.text and not merges.exists()
