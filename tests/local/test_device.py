"""`platform=local_gpu`: refused in one line where it can't work."""

import pytest
import torch

from recipe.zppo.config.compose import compose
from recipe.zppo.dry_run.planning import NO_ESTIMATE, plan
from recipe.zppo.errors import ConfigError
from recipe.zppo.local.device import check_device, model_device
from recipe.zppo.local.run import launch

from .conftest import overrides

GPUS = "trainer.n_gpus_per_node"


@pytest.fixture(scope="module")
def config(world, tmp_path_factory):
    return compose(overrides(world, tmp_path_factory.mktemp("device") / "run", "platform=local_gpu")[1:])


def test_what_the_platform_is(config):
    assert (config.trainer.device, config.actor_rollout_ref.rollout.dtype) == ("cuda", "bfloat16")
    assert config.actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype == "bf16"
    assert model_device(config) == torch.device("cuda:0")


def test_no_gpu(config, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert launch(config.copy()) == 2
    said = capsys.readouterr().err
    assert said.startswith("zppo: trainer.device: cuda, but PyTorch ") and said.count("\n") == 1
    assert " sees no GPU; " in said and "platform=cpu" in said


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("trainer.device", "npu", "trainer.device: recipe.zppo.local knows cpu and cuda, not npu"),
        (
            "actor_rollout_ref.actor.strategy",
            "megatron",
            "actor_rollout_ref.actor.strategy: recipe.zppo.local trains by itself and reads FSDP's keys only, not "
            "those of megatron; choose model_engine=dp",
        ),
        (GPUS, 2, f"{GPUS}: recipe.zppo.local trains on one GPU, not on 2 x 1; choose platform=local_gpu"),
        (
            "actor_rollout_ref.rollout.name",
            "vllm",
            "actor_rollout_ref.rollout.name: recipe.zppo.local samples by itself, without vllm; choose platform=",
        ),
    ],
)
def test_what_is_not_for_one_process(config, key, value, message):
    changed = config.copy()
    changed.merge_with_dotlist([f"{key}={value}"])
    with pytest.raises(ConfigError) as error:
        check_device(changed)
    assert str(error.value).startswith(message)


def test_a_gpu_without_bfloat16(config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    with pytest.raises(ConfigError, match=r"rollout\.dtype: Old GPU has no bfloat16; set float32"):
        check_device(config)
    changed = config.copy()
    changed.actor_rollout_ref.rollout.dtype = "float32"
    check_device(changed)


def test_its_dry_run_places_nothing_and_says_what_it_does_not_know(config):
    planned = plan(config, stack=False)
    assert NO_ESTIMATE in planned.not_checked and not planned.serving_memory
