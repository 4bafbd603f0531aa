"""vLLM's CPU build as rollout back end: `platform=cpu_vllm`. What imports vLLM is skipped where it is not installed."""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from recipe.cpu.verl_patches import keep_weights_beside_packed_ones, unpack_convolutions
from recipe.cpu.vllm_cpu import answer_for_vllm

from .test_register import python

ROOT = Path(__file__).resolve().parents[2]

needs_vllm = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="vLLM's CPU build is not installed: make vllm-cpu-check"
)


@pytest.fixture
def fake_distributions(tmp_path, monkeypatch):
    """Write the metadata of distributions to a folder that Python searches; the finder is there."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [finder for finder in sys.meta_path if "vllm" not in repr(type(finder))])
    answer_for_vllm()
    answer_for_vllm()

    def write(name: str, version: str) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n\nText\n")
        importlib.invalidate_caches()

    return write


def test_vllm_is_found_under_its_other_name(fake_distributions):
    fake_distributions("vllm-cpu", "0.28.0")
    assert importlib.metadata.version("vllm") == "0.28.0+cpu"
    assert importlib.metadata.metadata("vllm")["Name"] == "vllm"
    # The real one is what it was, and is listed once.
    assert importlib.metadata.version("vllm-cpu") == "0.28.0"
    names = [found.metadata["Name"] for found in importlib.metadata.distributions()]
    assert names == ["vllm-cpu"]


def test_an_installed_vllm_comes_first(fake_distributions):
    fake_distributions("vllm-cpu", "0.28.0")
    fake_distributions("vllm", "0.24.0")
    assert importlib.metadata.version("vllm") == "0.24.0"


def test_without_either_there_is_no_vllm(fake_distributions):
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("vllm")


def test_weights_stay_beside_the_packed_ones():
    calls = []
    module = types.SimpleNamespace(
        dispatch_cpu_unquantized_gemm=lambda layer, remove_weight: calls.append(remove_weight)
    )
    keep_weights_beside_packed_ones(module)
    keep_weights_beside_packed_ones(module)
    module.dispatch_cpu_unquantized_gemm("layer", remove_weight=True)
    assert calls == [False]


def test_packed_convolutions_are_loaded_as_they_were():
    layer = torch.nn.Conv1d(6, 6, 4, groups=6, bias=False).requires_grad_(False)
    parameter, weight = layer.weight, layer.weight.clone()
    layer._cpu_unpacked_conv_weight = weight.view(6, 4).clone()
    layer.weight.data = torch.zeros(3, 8)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), layer)
    unpack_convolutions(model)
    unpack_convolutions(model)
    assert layer.weight is parameter and torch.equal(parameter, weight)


# The environment of `make vllm-cpu-check` has ours at work in every process.
PLAIN = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'after_import' not in type(f).__module__]\n"
TRY = "try: import torchvision\nexcept RuntimeError as error: print(error)"


def test_a_torchvision_without_its_operators_can_be_imported(tmp_path):
    package = tmp_path / "torchvision"
    package.mkdir()
    describe = "import torch\nfrom . import extension\ntorch.library.register_fake('torchvision::nms')(lambda *_: None)"
    (package / "__init__.py").write_text(describe)
    (package / "extension.py").write_text("")
    first = PLAIN + f"sys.path.insert(0, {str(tmp_path)!r})\n"
    alone = "from recipe.cpu.torchvision_alone import declare_when_imported as d; d(); d()\n"
    assert python(alone + "import torchvision, torch; print(torch.ops.torchvision.nms)", first)
    assert python(TRY, first) == "operator torchvision::nms does not exist"


@needs_vllm
def test_torchvisions_own_operators_still_do_not_load():
    """Fails when the index has a torchvision for CPUs: drop recipe.cpu.torchvision_alone and the Makefile's .pth."""
    assert python(TRY, PLAIN) == "operator torchvision::nms does not exist"
    assert python("import torchvision; print(torchvision.__version__)", "").startswith("0.28.0")


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "constraints" / name).read_text().splitlines()
    return {key.lower().replace("_", "-"): value for key, value in (line.split("==") for line in lines if "==" in line)}


def test_the_pins_are_those_of_the_cpu_environment_and_more():
    ours, vllms = pins("cpu-py311.txt"), pins("cpu-vllm-py311.txt")
    assert {name: version for name, version in ours.items() if vllms.get(name) != version} == {
        "setuptools": ours["setuptools"],  # vllm-cpu asks for one version of its own
        "torch": vllms["torch"].removesuffix("+cpu"),
    }
    assert not {"torchaudio", "torchcodec"} & vllms.keys()


@needs_vllm
def test_verl_still_asks_for_vllm_by_that_name():
    """Fails when verl finds the CPU build by itself, or when it is published as `vllm`: drop recipe.cpu.vllm_cpu."""
    code = """
try: import verl.third_party.vllm as v
except ValueError as error: print("refused", error)
else: print("accepted", v.vllm_version)
"""
    # Without VERL_PLATFORM the plug-in leaves everything as it is.
    assert python(code, VERL_PLATFORM="").splitlines()[-1].startswith("refused vllm version None")
    assert python(code, VERL_PLATFORM="cpu").splitlines()[-1].startswith("accepted 0.28.0+cpu")


@needs_vllm
def test_vllm_still_drops_packed_weights():
    """Fails when vLLM keeps them: drop keep_weights_beside_packed_ones and recipe.cpu.vllm_worker."""
    code = """
import torch, vllm.platforms
vllm.platforms.current_platform.import_kernels()
from vllm.model_executor.layers import utils
from recipe.cpu.verl_patches import keep_weights_beside_packed_ones
x = torch.randn(3, 64)
for patched in (False, True):
    if patched: keep_weights_beside_packed_ones(utils)
    layer = torch.nn.Linear(64, 64, bias=False).requires_grad_(False)
    weight = layer.weight.clone()
    for scale in (1, 2):
        if layer.weight.numel(): layer.weight.copy_(scale * weight)
        utils.dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
        if not layer.weight.numel(): break
        y = layer.cpu_linear(x, layer.weight, None)
        assert torch.allclose(y, scale * x @ weight.T, atol=1e-5)
    print(patched, tuple(layer.weight.shape))
"""
    assert python(code, VERL_PLATFORM="cpu").splitlines()[-2:] == ["False (0,)", "True (64, 64)"]


@pytest.mark.e2e
@needs_vllm
def test_zppo_trains_through_vllm(world, tmp_path):
    """Two steps of the whole method, student and teacher on vLLM, on the embedded world."""
    from tests.local.conftest import overrides

    settings = overrides(world, tmp_path / "run", "trainer.save_freq=-1")
    settings[settings.index("platform=cpu")] = "platform=cpu_vllm"
    command = [sys.executable, "-m", "verl.trainer.main_zppo", *settings]
    with open(tmp_path / "train.log", "w") as log:
        status = subprocess.run(command, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT, timeout=600).returncode
    assert status == 0, (tmp_path / "train.log").read_text(errors="replace")[-8000:]
    steps = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [step for step in steps if "training/rollout_probs_diff_max" in step]
    assert [step["step"] for step in steps] == [1, 2]
    for step in steps:
        # The second step's responses come from synchronised weights: agreement shows that the sync is complete.
        assert step["training/rollout_probs_diff_max"] < 1e-4
        assert step["actor/grad_norm"] > 0
        assert step["zppo/teacher/failed_requests"] == 0
        assert step["zppo/rollouts/failed"] == 0
    assert sum(step["zppo/bcq/count"] + step["zppo/ncq/count"] for step in steps) > 0
    assert sum(step["zppo/teacher/asked"] for step in steps) > 0
