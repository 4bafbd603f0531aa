"""What accelerators' training imports in its workers is looked for before Ray starts."""

import pytest
from omegaconf import DictConfig

from recipe.zppo.errors import ConfigError
from recipe.zppo.launch import launch
from recipe.zppo.local.run import launch as launch_here
from recipe.zppo.preflight import packages
from recipe.zppo.preflight.everything import check
from recipe.zppo.preflight.packages import check_packages, missing_packages
from tests.composed import compose
from tests.runnable import Run

MODELS = ("actor_rollout_ref.model.path=student", "zppo.teacher.path=teacher")


def composed(*overrides: str) -> DictConfig:
    return compose([*MODELS, *overrides])


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What is found; add to it."""
    names: set[str] = set()

    def find(module: str) -> object:
        if "." in module and module.split(".")[0] not in names:
            raise ModuleNotFoundError(module)
        return object() if module in names else None

    monkeypatch.setattr(packages, "find_spec", find)
    return names


def test_fsdp_needs_flash_attn_unless_told_otherwise(installed: set[str]) -> None:
    assert missing_packages(composed()) == ["flash-attn"]
    with pytest.raises(ConfigError, match=r"^actor_rollout_ref.actor.strategy: fsdp2? needs flash-attn, not installed"):
        check_packages(composed())
    assert missing_packages(composed("+actor_rollout_ref.model.override_config.attn_implementation=sdpa")) == []
    for other in ("flash_attn", "kernels"):
        installed.clear()
        installed.add(other)
        check_packages(composed())


def test_megatron_needs_its_bridge_and_transformer_engine(installed: set[str]) -> None:
    megatron = composed("model_engine=megatron")
    assert missing_packages(megatron) == ["megatron-core", "megatron-bridge", "transformer-engine"]
    installed.update(("megatron", "megatron.core", "transformer_engine"))
    assert missing_packages(megatron) == ["megatron-bridge"]
    installed.add("megatron.bridge")
    check_packages(megatron)


def test_megatron_on_the_cpu_needs_its_bridge_only(installed: set[str]) -> None:
    megatron = composed("model_engine=megatron", "platform=cpu")
    with pytest.raises(ConfigError, match=r"megatron needs megatron-core, megatron-bridge, not .*; docs/guides/cpu.md"):
        check_packages(megatron)
    installed.update(("megatron", "megatron.core", "megatron.bridge"))
    check_packages(megatron)


def test_stochastic_rounding_needs_torchao(installed: set[str]) -> None:
    config = composed("platform=cpu", "zppo.optimizer=stochastic")
    with pytest.raises(ConfigError, match=r"^zppo.optimizer: stochastic needs torchao, .*: pip install torchao$"):
        check_packages(config)
    installed.add("torchao")
    check_packages(config)


def test_the_cpu_needs_none(installed: set[str]) -> None:
    check_packages(composed("platform=cpu"))


def test_it_is_the_last_check_of_a_run(run: Run, installed: set[str]) -> None:
    config = compose(run.overrides("trainer.n_gpus_per_node=2", "actor_rollout_ref.model.use_remove_padding=false"))
    with pytest.raises(ConfigError, match="flash-attn"):
        check(config)


@pytest.mark.parametrize("start", [launch, launch_here])
def test_a_verl_that_was_not_tried_is_refused(start, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("verl.__version__", "0.10.0")
    assert start(composed("zppo.dry_run=true")) == 2
    line = (
        "zppo: verl 0.10.0 is installed, and ZPPO overrides parts of verl that change from version to version; "
        "it was tried with verl==0.9.1: pip install verl==0.9.1\n"
    )
    assert capsys.readouterr() == ("", line)
