"""Small copies of the two sources, in the schemas that public code reads."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def texts(*names: str) -> list[tuple[str, pa.DataType]]:
    return [(name, pa.string()) for name in names]


EXTRA_INFO = [*texts("id"), ("index", pa.int64()), *texts("question", "answer", "reward_type")]
EXTRA_INFO += [("tolerance", pa.float64())]
MESSAGE = pa.struct(texts("role", "content"))
VERO = pa.schema(
    [
        *texts("id", "data_source"),
        ("prompt", pa.list_(MESSAGE)),
        ("image", CELL),
        *texts("ability"),
        ("reward_model", pa.struct(texts("style", "ground_truth"))),
        ("extra_info", pa.struct(EXTRA_INFO)),
    ]
)
MMFINEREASON = pa.schema(
    [
        *texts("id", "source", "ori_question", "original_answer", "question", "answer"),
        ("image", CELL),
        *texts("caption", "qwen3vl_235b_thinking_response"),
        ("pass_rate", pa.float64()),
        ("is_consistent", pa.bool_()),
        *texts("consistency_analysis"),
    ]
)


def picture(width: int = 100, height: int = 100, shade: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height), shade % 256).save(file, "PNG")
    return file.getvalue()


def vero_row(number: int, **changes) -> dict:
    """Keys of `changes`: question, answer, reward_type, image, id, prompt."""
    question = changes.get("question", f"<image>\nwhat is {number} + 1")
    answer = changes.get("answer", str(number + 1))
    prompt = [
        {"role": "system", "content": "You are a helpful assistant. Answer step-by-step in <answer> tags."},
        {"role": "user", "content": changes.get("prompt", question)},
    ]
    row_id = changes.get("id", f"v{number}")
    return {
        "id": row_id,
        "data_source": "set",
        "prompt": prompt,
        "image": {"bytes": changes.get("image", picture(shade=number)), "path": f"{number}.png"},
        "ability": "stem",
        "reward_model": {"style": "rule", "ground_truth": answer},
        "extra_info": {
            "id": row_id,
            "index": number,
            "question": question,
            "answer": answer,
            "reward_type": changes.get("reward_type", "numeric"),
            "tolerance": None,
        },
    }


def mmfr_row(number: int, source: str, **changes) -> dict:
    """Keys of `changes`: those of the schema."""
    row = {
        "id": f"m{number}",
        "source": source,
        "ori_question": "?",
        "original_answer": "<think>long</think><answer>1</answer>",
        "question": f"<image>what is {number} * 2",
        "answer": str(2 * number),
        "image": {"bytes": picture(shade=number), "path": None},
        "caption": "a picture",
        "qwen3vl_235b_thinking_response": "<think>long</think>" * 20,
        "pass_rate": 0.25,
        "is_consistent": True,
        "consistency_analysis": "",
    }
    return row | changes


def write_vero(root: Path, configs: dict[str, list[dict]], *, shards: int = 1, split: str = "train") -> Path:
    """A folder for each config with its shards, as in the repository."""
    for config, rows in configs.items():
        write_shards(root / config, rows, VERO, shards, split)
    return root


def write_mmfinereason(root: Path, rows: list[dict], *, shards: int = 2) -> Path:
    write_shards(root / "data", rows, MMFINEREASON, shards, "train")
    return root


def write_shards(folder: Path, rows: list[dict], schema: pa.Schema, shards: int, split: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(rows) // shards)
    for shard in range(shards):
        part = pa.Table.from_pylist(rows[shard * size : (shard + 1) * size], schema=schema)
        pq.write_table(part, folder / f"{split}-{shard:05d}-of-{shards:05d}.parquet", row_group_size=7)


@pytest.fixture
def offline(monkeypatch):
    """As if the variable had been set before `huggingface_hub` was imported, which another test may have done."""
    import datasets
    import huggingface_hub.constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
