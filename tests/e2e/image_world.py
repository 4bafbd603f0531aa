"""Questions with and without pictures in two files, and two random Qwen3.5 for student and teacher."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.media.conftest import save_qwen3_5


def image_world(folder: Path, seen: Sequence[dict], text: Sequence[dict], **shape: Any) -> SimpleNamespace:
    """A world for `Training`; ``shape`` goes to the models."""
    files = []
    for name, rows in {"seen": seen, "text": text}.items():
        files.append(str(folder / f"{name}.parquet"))
        pq.write_table(pa.Table.from_pylist(rows), files[-1])
    for seed, name in enumerate(("student", "teacher")):
        (folder / name).mkdir()
        save_qwen3_5(folder / name, seed=seed, **shape)
    return SimpleNamespace(
        train_file=f"[{','.join(files)}]",
        val_file=files[0],
        student=folder / "student",
        teacher=folder / "teacher",
    )
