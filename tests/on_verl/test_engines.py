"""FSDP or Megatron: the trainer does not know. Read from the source, since Megatron needs a GPU."""

import ast
from pathlib import Path

from verl.single_controller.base.decorator import MAGIC_ATTR
from verl.workers.engine_workers import ActorRolloutRefWorker

ROOT = Path(__file__).parents[2]
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
