"""The launch scripts as a user has them, run with stand-ins for `python`, `ray` and others that write down their call.

What they would have called is composed and planned in this process, so that verl is imported once.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from recipe.zppo.dry_run.plan import Plan
from recipe.zppo.dry_run.planning import plan
from recipe.zppo.preflight import models as model_files
from recipe.zppo.preflight import packages
from recipe.zppo.world.tokenizer import build_tokenizer
from tests.composed import compose
from tests.runnable import row, write_rows

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TRAINER = EXAMPLES / "zppo_trainer"
SIZES = ("0_8b", "2b", "4b", "9b")

# hidden, intermediate, layers, heads, key-value heads, value heads of linear attention, tied embeddings
_SHAPES = {
    "0_8b": (1024, 3584, 24, 8, 2, 16, True),
    "2b": (2048, 6144, 24, 8, 2, 16, True),
    "4b": (2560, 9216, 32, 16, 4, 32, True),
    "9b": (4096, 12288, 32, 16, 4, 32, False),
    "27b": (5120, 17408, 64, 24, 4, 48, False),
}

# Two stand-ins may write at the same time: each makes its call in a file of its own, and adds it in one write.
WRITES_ITS_CALL = """{ printf '%s\\0' "$(basename "$0")" "$@"; printf '\\n'; } > "$CALLS.$$"
cat "$CALLS.$$" >> "$CALLS"
"""


def model_config(size: str) -> dict:
    """config.json of a Qwen3.5 of that size."""
    hidden, intermediate, layers, heads, kv_heads, value_heads, tied = _SHAPES[size]
    text = {
        "model_type": "qwen3_5_text",
        "vocab_size": 248_320,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": 256,
        "layer_types": ["full_attention" if i % 4 == 3 else "linear_attention" for i in range(layers)],
        "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": value_heads,
        "max_position_embeddings": 262_144,
        "tie_word_embeddings": tied,
    }
    config = {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "model_type": "qwen3_5",
        "text_config": text,
        "vision_config": {"model_type": "qwen3_5_vision", "out_hidden_size": hidden, "patch_size": 16},
        "tie_word_embeddings": tied,
    }
    if size == "27b":
        config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    return config


class Site:
    """A place to launch from: model folders without weights, data, and stand-ins for what scripts call."""

    def __init__(self, folder: Path):
        self.folder = folder
        tokenizer = build_tokenizer()
        for size in _SHAPES:
            tokenizer.save_pretrained(self.model(size))
            (self.model(size) / "config.json").write_text(json.dumps(model_config(size)))
        self.data = write_rows(folder / "train.parquet", [row(i) for i in range(400)])
        (folder / "bin").mkdir()
        for name in ("python3", "ray"):
            self.stand_in(name)

    def model(self, size: str) -> Path:
        return self.folder / f"Qwen3.5-{size}"

    def stand_in(self, name: str, script: str = f"#!/bin/sh\n{WRITES_ITS_CALL}") -> None:
        path = self.folder / "bin" / name
        path.write_text(script)
        path.chmod(0o755)

    def environment(self, **changes: str) -> dict[str, str]:
        """What a user exports; no variable of the machine that tests run on reaches a script."""
        return {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "CALLS": str(self.folder / "calls"),
            "TRAIN_FILE": str(self.data),
            "VAL_FILE": str(self.data),
            "TEACHER_PATH": str(self.model("27b")),
            "RUN_DIR": str(self.folder / "run"),
            **changes,
        }

    def calls(self, script: Path, *arguments: str, **environment: str) -> list[list[str]]:
        """The calls of stand-ins that `script` makes."""
        calls = Path(self.environment(**environment)["CALLS"])
        calls.unlink(missing_ok=True)
        done = subprocess.run(
            [script, *arguments],
            env=self.environment(**environment),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return [line.split("\0")[:-1] for line in calls.read_text().splitlines()]

    def overrides(self, script: str, *arguments: str, **environment: str) -> tuple[str, ...]:
        """What the script in examples/zppo_trainer gives to the trainer."""
        ((name, *called),) = self.calls(TRAINER / script, *arguments, **environment)
        assert (name, *called[:2]) == ("python3", "-m", "verl.trainer.main_zppo")
        return tuple(called[2:])


def planned(overrides: tuple[str, ...], hardware: str, **changes: Any) -> Plan:
    """The dry run of a call on `hardware`, against the verl that is installed.

    `changes`, keys and values, are made without composing anew.
    """
    config = compose(overrides)
    for key, value in {"zppo.hardware": hardware, **changes}.items():
        OmegaConf.update(config, key, value)
    return plan(config)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(autouse=True)
def packages_for_accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with GPUs: without them the scripts' runs are refused, rightly."""
    find = model_files.find_spec
    monkeypatch.setattr(model_files, "find_spec", lambda name: object() if name == "fla" else find(name))
    monkeypatch.setattr(packages, "find_spec", lambda name: object())


def tool(name: str) -> str:
    """A program of this Python's environment."""
    return os.path.join(os.path.dirname(sys.executable), name)
