"""The gradient of a fused LM head with weights of its own is the mean over all ranks."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from recipe.zppo.on_verl.patches import fused_head_in_the_root_unit
from tests import warm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranks")
    done = warm.run(str(Path(__file__).with_name("fused_head_ranks.py")), path, folder=path)
    assert done.returncode == 0, done.stderr[-3000:]
    return path


def wrong(folder: Path, kind: str) -> set[str]:
    """Weights whose gradient is not the mean, on either rank."""
    found = set()
    for rank in range(2):
        seen = torch.load(folder / f"{kind}_{rank}.pt")
        found |= {name for name, mean in seen["mean"].items() if not torch.allclose(seen["got"][name], mean, atol=1e-5)}
    return found


def test_every_gradient_is_the_mean_over_ranks(folder: Path) -> None:
    assert wrong(folder, "patched") == set()


def test_verls_own_still_leaves_the_head_out(folder: Path) -> None:
    """When this fails, remove the patch."""
    assert wrong(folder, "verls") == {"lm_head.weight"}


def test_other_models_are_left_alone() -> None:
    from verl.utils import fsdp_utils

    assert hasattr(fsdp_utils._select_fsdp2_wrap_targets, "__wrapped__")  # by the plug-in
    module = SimpleNamespace(_select_fsdp2_wrap_targets=lambda model, names: list(model))
    fused_head_in_the_root_unit(module)
    assert module._select_fsdp2_wrap_targets(["any"], []) == ["any"]
