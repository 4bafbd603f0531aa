"""The type of a folder's weights, and what its config and index say of it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipe.zppo.errors import ExportError
from recipe.zppo.run.publish import publish
from recipe.zppo.run.weights import DTYPES, cast_weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files and an index, as transformers writes large models; a config with configs in it, in the older words."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"a": torch.tensor([1 / 3, 1e6])}, folder / "model-00001-of-00002.safetensors", metadata={"format": "pt"})
    save_file({"b": torch.ones(2).bfloat16(), "ids": torch.arange(3)}, folder / "model-00002-of-00002.safetensors")
    index = {
        "metadata": {"total_size": 1, "total_parameters": 4},
        "weight_map": {"a": "model-00001-of-00002.safetensors"},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    config = {
        "torch_dtype": "float32",
        "text_config": {"dtype": "float32", "layers": 2},
        "vision_config": {"dtype": None},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_weights_config_and_index_are_of_one_type(folder: Path, dtype: str) -> None:
    cast_weights(folder, dtype)
    first, second = (load_file(file) for file in sorted(folder.glob("*.safetensors")))
    wanted = getattr(torch, dtype)
    assert torch.equal(first["a"], torch.tensor([1 / 3, 1e6]).to(wanted)) and second["b"].dtype == wanted
    assert second["ids"].dtype == torch.int64
    config = json.loads((folder / "config.json").read_text())
    assert config == {"dtype": dtype, "text_config": {"dtype": dtype, "layers": 2}, "vision_config": {"dtype": None}}
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": 4 * wanted.itemsize + 3 * 8, "total_parameters": 4}
    assert sorted(path.name for path in folder.iterdir() if path.suffix == ".tmp") == []


def test_a_weight_that_does_not_fit_is_refused(folder: Path) -> None:
    with pytest.raises(ExportError, match=r"^a is not finite in float16; take another --dtype"):
        cast_weights(folder, DTYPES[2])


def test_a_published_folder_can_be_read_by_whoever_reads_new_files(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    publish(folder, tmp_path / "there")
    assert {path.stat().st_mode for path in (tmp_path / "there").iterdir()} == {(tmp_path / "new").stat().st_mode}
