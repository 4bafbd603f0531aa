"""Two steps of the whole method on the whole stack: a random Qwen3.5, questions with images, videos and neither."""

import json
from itertools import chain
from pathlib import Path

import pytest
import torch

from recipe.zppo.media import parts as media
from recipe.zppo.replay_buffer.packing import unpack
from tests.e2e.conftest import Training
from tests.e2e.image_world import image_world
from tests.media.pictures import picture, png
from tests.media.pictures import row as data_row

pytestmark = pytest.mark.e2e

STEPS = (1, 2)
FRAMES = 3
VISION = ("pixel_values", "image_grid_thw", "pixel_values_videos", "video_grid_thw")


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
        seen.append(data_row(f"seen-{i}", text, images, videos=videos))
    return seen, [data_row(f"text-{i}", f"{i}+{i}=? q{10 + i}.") for i in range(6)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    training = Training(image_world(folder, *questions()), folder)
    training.run(
        "actor_rollout_ref.model.use_remove_padding=false",
        f"reward.custom_reward_function.path={Path(__file__).parents[1] / 'media' / 'graded_by_hash.py'}",
        "data.max_prompt_length=512",
        "data.max_response_length=16",
        "data.val_max_samples=4",
        "actor_rollout_ref.rollout.max_model_len=2048",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=8192",
        "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=8192",
        "zppo.reformulation.fraction=1.0",
        "trainer.total_training_steps=2",
        "trainer.save_freq=2",
        "zppo.export.hf_model=true",
        "trainer.val_before_train=true",
        env=training.spied("tests.media.spy"),
    )
    return training


def load(training, name: str) -> list:
    return [torch.load(path, weights_only=False) for path in sorted(training.folder.glob(f"{name}_*.pt"))]


@pytest.fixture(scope="module")
def rows(finished) -> list[dict]:
    """The rows that trained, with their question's id and the prompt kind."""
    result = []
    for step in STEPS:
        lines = {line["uid"]: line for line in finished.rollouts(step)}
        for row in load(finished, f"batch{step}")[0]:
            line = lines.get(str(row["key"]).rsplit("_", 2)[0])
            if not row["padding"]:
                result.append(row | {"step": step, "prompt_id": line["prompt_id"], "kind": line["kind"]})
    return result


@pytest.fixture(scope="module")
def requests(finished) -> list[dict]:
    return load(finished, "request")


@pytest.fixture(scope="module")
def processor(finished):
    from verl.utils import hf_processor

    return hf_processor(str(finished.world.student))


@pytest.fixture(scope="module")
def expected(processor) -> dict[str, dict[str, torch.Tensor]]:
    """The vision features of each question, straight from its row."""
    result = {}
    for line in chain(*questions()):
        (message,) = media.place(line["prompt"], line.get("images", []), line.get("videos", []))
        images, videos = media.extract([message], processor.image_processor.patch_size)
        features = {}
        if images:
            features |= processor.image_processor(images=images, return_tensors="pt")
        if videos:
            features |= processor.video_processor(
                videos=[frames for frames, _ in videos],
                video_metadata=[metadata for _, metadata in videos],
                do_sample_frames=False,
                return_tensors="pt",
            )
        result[line["prompt_id"]] = {name: features[name] for name in VISION if name in features}
    return result


def same(features: dict, others: dict) -> bool:
    features, others = ({name: found[name] for name in VISION if name in found} for found in (features, others))
    return features.keys() == others.keys() and all(torch.equal(features[name], others[name]) for name in features)


def test_all_kinds_of_prompts_and_of_questions_trained(rows):
    media_of = {"text": "text", "seen-9": "video", "seen-4": "video", "seen-2": "text", "seen-7": "text"}
    of = lambda row: media_of.get(row["prompt_id"], media_of.get(row["prompt_id"][:4], "image"))  # noqa: E731
    found = {(of(row), row["kind"]) for row in rows}
    assert {("text", "plain"), ("image", "plain"), ("video", "plain"), ("text", "ncq"), ("image", "ncq")} <= found
    assert "bcq" in {row["kind"] for row in rows if of(row) != "text"}


def test_the_update_sees_the_questions_pixels_whatever_the_kind(rows, expected):
    for row in rows:
        assert same(row["multi_modal_inputs"], expected[row["prompt_id"]]), row["key"]


def test_student_and_teacher_saw_the_same_pixels(finished, rows, requests, expected, processor):
    students = {tuple(request["ids"]): request for request in requests if request["model"].endswith("student")}
    for row in rows:
        request = students[tuple(row["prompts"].tolist())]
        assert same(request["features"], expected[row["prompt_id"]])
    teachers = [request for request in requests if request["model"].endswith("teacher")]
    seen = set()
    for request in teachers:
        text = processor.tokenizer.decode(request["ids"])
        asked = [name for name in expected if f"q{number(name)}." in text]
        if not asked:  # a response to compress, which has no question with it
            assert not request["features"]
            continue
        assert same(request["features"], expected[asked[0]])
        seen.add(asked[0])
    assert any(expected[name] for name in seen) and any(not expected[name] for name in seen)
    assert len(students) > len(seen) > 1


def number(prompt_id: str) -> int:
    """What the question calls itself, `q<n>.`"""
    kind, index = prompt_id.split("-")
    return int(index) + (10 if kind == "text" else 0)


def test_no_prompt_repeats_an_image_or_has_one_of_a_models_making(rows, processor):
    plain = {row["prompt_id"]: row for row in rows if row["kind"] == "plain"}
    tokens = (processor.image_token_id, processor.video_token_id, processor.vision_start_token_id)
    for row in rows:
        first, ids = plain[row["prompt_id"]]["prompts"], row["prompts"]
        assert not any((row["responses"] == token).any() for token in tokens[:2])
        for token in tokens:
            assert torch.equal((ids == token).nonzero(), (first == token).nonzero())  # as many, at the same places


def test_positions_of_the_update_are_the_models_own(rows, finished):
    from transformers import Qwen3_5ForConditionalGeneration

    model = Qwen3_5ForConditionalGeneration.from_pretrained(finished.world.student)
    for row in rows:
        ids, inputs = row["input_ids"][None], row["multi_modal_inputs"]
        types = (ids == model.config.image_token_id).long() + 2 * (ids == model.config.video_token_id).long()
        grids = {name: inputs.get(name) for name in ("image_grid_thw", "video_grid_thw")}
        own, _ = model.model.get_rope_index(ids, mm_token_type_ids=types, attention_mask=torch.ones_like(ids), **grids)
        assert torch.equal(row["position_ids"][1:], own[:, 0])
        assert torch.equal(row["position_ids"][0], torch.arange(ids.shape[1]))


def test_the_engine_hands_the_model_the_pixels_of_its_rows(finished, rows):
    """In every micro-batch of log-probs and updates, in the order of its rows; text rows have none."""
    by_ids = {tuple(row["input_ids"].tolist()): row for row in rows}
    mixed = 0
    for update in load(finished, "update"):
        here = []
        for ids, mask in zip(update["input_ids"], update["attention_mask"], strict=True):
            found = by_ids.get(tuple(ids[mask.bool()].tolist()))
            if found is not None:  # else padding
                here.append(found)
        for name in VISION:
            parts = [row["multi_modal_inputs"][name] for row in here if name in row["multi_modal_inputs"]]
            assert (name in update) == bool(parts)
            if parts:
                assert torch.equal(update[name][: sum(map(len, parts))], torch.cat(parts))
        mixed += len({bool(row["multi_modal_inputs"]) for row in here}) == 2
    assert mixed


def test_server_and_trainer_agree_on_the_log_probs(finished, rows):
    """A wrong pixel or position in either of them would show here."""
    for row in rows:
        ours, servers = row["old_log_probs"].tolist(), row["rollout_log_probs"].tolist()
        assert ours == pytest.approx(servers, abs=1e-4)
    for step in STEPS:
        assert finished.metrics()[step]["training/rollout_probs_diff_max"] < 1e-4


def test_a_replayed_question_comes_with_its_images(finished, rows, expected):
    replayed = [line for line in finished.rollouts(2) if line["kind"] == "plain" and line["replayed"]]
    first = {line["prompt_id"]: line for line in finished.rollouts(1) if line["kind"] == "plain"}
    assert any(expected[line["prompt_id"]] for line in replayed)
    for line in replayed:
        assert line["question"] == first[line["prompt_id"]]["question"]
        again = [row for row in rows if row["step"] == 2 and row["prompt_id"] == line["prompt_id"]]
        assert again and all(same(row["multi_modal_inputs"], expected[line["prompt_id"]]) for row in again)


def test_the_buffer_refers_to_rows_and_holds_no_picture(finished):
    path = finished.run_dir / "global_step_2/zppo.pt"
    buffer = torch.load(path, weights_only=False)["buffer"]
    references = unpack(buffer["references"])
    assert references and all(isinstance(reference, int) for reference in references)
    assert b"PNG" not in path.read_bytes()


def test_the_rollout_files_show_where_an_image_stood_and_no_pixels(finished):
    asked = {line["prompt_id"]: line["prompt"][0]["content"] for line in chain(*questions())}
    for step in STEPS:
        for line in finished.rollouts(step):
            assert line["question"] == asked[line["prompt_id"]]
    for path in (finished.run_dir / "rollouts").iterdir():
        text = path.read_text()
        assert "PIL" not in text and "\\x89PNG" not in text and "IHDR" not in text
        assert max(map(len, text.splitlines())) < 20_000


def test_teacher_and_compression_worked(finished):
    metrics = finished.metrics()
    assert sum(metrics[step]["zppo/teacher/failed_requests"] for step in STEPS) == 0
    assert sum(metrics[step]["zppo/teacher/solved_share"] for step in STEPS) > 0


def test_the_exported_model_sees(finished):
    from verl.utils import hf_processor

    exported = hf_processor(str(finished.run_dir / "hf_model"))
    settings = json.loads((finished.run_dir / "hf_model/processor_config.json").read_text())
    assert exported.image_processor.patch_size == 8
    assert settings["video_processor"]["video_processor_type"] == "Qwen3VLVideoProcessor"  # transformers' own name
