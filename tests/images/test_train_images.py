"""Two steps of the whole method on the whole stack: a random Qwen3.5, questions with images, videos and neither."""

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import Training
from tests.images.conftest import save_qwen3_5
from tests.images.pictures import picture, png, row

pytestmark = pytest.mark.e2e

STEPS = (1, 2)
FRAMES = 3


def questions() -> tuple[list[dict], list[dict]]:
    """Rows with images or videos, and rows of text, each for a file of its own."""
    seen = []
    for i in range(10):
        if i % 5 == 3:
            images, text = [picture(2 * i), picture(2 * i + 1, (32, 64))], f"<image> and <image>: same? q{i}."
        elif i % 5 == 4:
            images, text = [], f"Look: <video> q{i}."
        elif i % 5 == 2:
            images, text = [], f"No picture here. q{i}."
        else:
            images, text = [picture(2 * i)], f"How many bars? q{i}.<image>"
        frames = [{"bytes": png(picture(100 * i + k, (32, 32))), "path": None} for k in range(FRAMES)]
        videos = [{"video": frames, "fps": 1.0}] if "<video>" in text else []
        seen.append(row(f"seen-{i}", text, images, videos=videos))
    return seen, [row(f"text-{i}", f"{i}+{i}=? q{10 + i}.") for i in range(6)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    files = []
    for name, rows in zip(("seen", "text"), questions(), strict=True):
        files.append(str(folder / f"{name}.parquet"))
        pq.write_table(pa.Table.from_pylist(rows), files[-1])
    for seed, name in enumerate(("student", "teacher")):
        (folder / name).mkdir()
        save_qwen3_5(folder / name, seed=seed)
    world = SimpleNamespace(
        train_file=f"[{','.join(files)}]",
        val_file=files[0],
        student=folder / "student",
        teacher=folder / "teacher",
    )
    training = Training(world, folder)
    root = str(Path(__file__).parents[2])
    spied = folder / "spy"
    spied.mkdir()
    env = {"VERL_USE_EXTERNAL_MODULES": "tests.images.spy", "ZPPO_SPY_DIR": str(spied), "PYTHONPATH": root}
    training.run(
        "actor_rollout_ref.model.use_remove_padding=false",
        f"reward.custom_reward_function.path={Path(__file__).parent / 'graded_by_hash.py'}",
        "data.max_prompt_length=512",
        "data.max_response_length=16",
        "data.val_max_samples=4",
        "actor_rollout_ref.rollout.max_model_len=2048",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=8192",
        "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=8192",
        "zppo.reformulation.fraction=1.0",
        "trainer.total_training_steps=2",
        "trainer.save_freq=2",
        "trainer.val_before_train=true",
        env=env,
    )
    return training


def test_it_runs(finished):
    pass
