"""What is refused before Ray starts: images that can't be read, models that can't see, packing that mixes sequences."""

import json

import pytest

from tests.media.pictures import picture, png
from tests.runnable import BATCH, Run, row, write_rows


@pytest.fixture
def run(tmp_path) -> Run:
    """Two models that see, and a row in four with a picture."""
    run = Run(tmp_path)
    for model in (run.student, run.teacher):
        (model / "preprocessor_config.json").write_text("{}")
    write(run)
    return run


def seen(number: int, image: object, content: str = "<image>?") -> dict:
    return row(number, prompt=[{"role": "user", "content": content}], images=[] if image is None else [image])


def write(run: Run, image: object = None, content: str = "<image>?", at: int = 2) -> None:
    good = {"bytes": png(picture(1)), "path": None}
    rows = [seen(i, good) if i % 4 == 0 else seen(i, None, "1+1=?") for i in range(BATCH)]
    if image is not None:
        rows[at] = seen(at, image, content)
    write_rows(run.data, rows)


def write_videos(run: Run) -> None:
    frames = [{"bytes": png(picture(i)), "path": None} for i in range(2)]
    rows = [row(i, prompt=[{"role": "user", "content": "<video>?"}], videos=[{"video": frames}]) for i in range(BATCH)]
    write_rows(run.data, rows)


def test_images_beside_text_pass(run):
    run.check()


def test_single_images_pass_and_one_that_can_not_be_read_is_named(run):
    def single(image):
        return {"bytes": image, "path": None}

    rows = [seen(i, None) | {"images": single(png(picture(1)))} for i in range(BATCH)]
    write_rows(run.data, rows)
    run.check()
    rows[3]["images"] = single(b"not a picture")
    write_rows(run.data, rows)
    assert "row 3: image 1 (13 bytes) can't be read" in run.refused()
    own = [{"q": "What is it?", "a": "1", "photo": single(png(picture(1)))} for _ in range(BATCH)]
    write_rows(run.data, own)
    names = [f"data.columns.{name}" for name in ("prompt=q", "answer=a", "images=photo")]
    run.check(*names)
    (run.teacher / "preprocessor_config.json").unlink()
    assert run.refused(*names).startswith(f"zppo.teacher.path: {run.data} row 0 has images or videos, but ")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"bytes": b"not a picture", "path": None}, "row 2: image 1 (13 bytes) can't be read: not a picture"),
        ({"bytes": png(picture(1, (200, 200)))[:-100], "path": None}, "row 2: image 1 "),
        ({"bytes": b"", "path": None}, "row 2: image 1 is empty (0 bytes)"),
        ({"bytes": None, "path": "/nowhere/a.png"}, "row 2: image 1: the file /nowhere/a.png does not exist"),
        ({"bytes": None, "path": "https://example.org/a.png"}, "row 2: image 1: https://example.org/a.png is an"),
    ],
)
def test_an_image_that_can_not_be_read(run, image, message):
    write(run, image)
    assert f"data.train_files: {run.data} {message}" in run.refused()


@pytest.mark.parametrize("content", ["no placeholder", "<image><image>"])
def test_placeholders_that_do_not_match(run, content):
    write(run, {"bytes": png(picture(1)), "path": None}, content)
    message = run.refused()
    assert f"{run.data} row 2: the " in message and "<image>" in message


@pytest.mark.parametrize(
    ("model", "key"), [("student", "actor_rollout_ref.model.path"), ("teacher", "zppo.teacher.path")]
)
def test_a_model_that_would_not_see(run, model, key):
    path = getattr(run, model)
    (path / "preprocessor_config.json").unlink()
    assert run.refused() == (
        f"{key}: {run.data} row 0 has images or videos, but {path} has no processor for them (no "
        "preprocessor_config.json): it would answer without seeing them; give a vision model, or data of text only"
    )


def test_a_picture_after_many_rows_of_text_is_found(run):
    (run.teacher / "preprocessor_config.json").unlink()
    rows = [seen(i, None, "1+1=?") for i in range(300)]
    write_rows(run.data, [*rows, seen(300, {"bytes": png(picture(1)), "path": None})])
    assert f"{run.data} row 300 has images" in run.refused()


def test_text_needs_no_processor_even_with_an_empty_column(run):
    for model in (run.student, run.teacher):
        (model / "preprocessor_config.json").unlink()
    write_rows(run.data, [seen(i, None, "1+1=?") for i in range(BATCH)])
    run.check()
    write_rows(run.data, [row(i) for i in range(BATCH)])
    run.check()


def test_the_teacher_need_not_see_where_there_is_none(run):
    (run.teacher / "preprocessor_config.json").unlink()
    without = ("zppo.reformulation.enable=false", "zppo.compression.mode=none")
    assert not run.check(*without).needs_teacher


@pytest.mark.parametrize(
    "overrides", [("zppo.reformulation.bcq=false",), ("zppo.reformulation.enable=false", "zppo.judge.enable=true")]
)
def test_a_teacher_that_is_shown_text_only_need_not_see(run, overrides):
    (run.teacher / "preprocessor_config.json").unlink()
    assert run.check(*overrides).needs_teacher


def test_a_video_is_not_for_an_endpoint(run, monkeypatch):
    from recipe.zppo.preflight import settings as checks

    monkeypatch.setattr(checks, "check_endpoint", lambda zppo: None)  # there is none
    write_videos(run)
    served = "actor_rollout_ref.rollout.name=hf"
    run.check(served)
    message = run.refused(served, "zppo.teacher.base_url=http://host/v1", "zppo.teacher.path=name")
    assert message.startswith(f"zppo.teacher.base_url: {run.data} row 0 has a video")


def test_a_video_is_not_for_vllm(run):
    """verl collapses runs of placeholders only; a video has one run for each of its frames."""
    write_videos(run)
    message = f"actor_rollout_ref.rollout.name: {run.data} row 0 has a video; from verl's prompts"
    assert run.refused().startswith(message)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_rows_of_json_may_be_longer_than_a_block(run, name):
    rows = [row(i, prompt=[{"role": "user", "content": f"{i}?" + " " * 1_200_000}]) for i in range(BATCH)]
    file = run.data.with_name(name)
    if name.endswith("l"):
        file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    else:
        file.write_text(json.dumps(rows))
    run.check(f"data.train_files={file}")


def test_a_placeholder_in_a_row_without_media_is_text_and_in_one_that_lost_them_an_error(run):
    html = [{"role": "user", "content": "What does the <video> tag do?"}]
    rows = [seen(i, {"bytes": png(picture(1)), "path": None}) for i in range(BATCH)]
    write_rows(run.data, [*rows, {**row(BATCH, prompt=html), "images": None}])
    run.check()
    write_rows(run.data, [{**row(BATCH, prompt=html), "images": []}, *rows])
    assert "more <video> placeholders" in run.refused()


def test_packing_is_refused_for_linear_attention_without_its_kernels(run, monkeypatch):
    from recipe.zppo.preflight import models as model_files

    (run.student / "config.json").write_text(json.dumps({"model_type": "qwen3_5"}))
    packed = "actor_rollout_ref.model.use_remove_padding=true"
    monkeypatch.setattr(model_files, "find_spec", lambda name: None)
    assert "actor_rollout_ref.model.use_remove_padding" in run.refused(packed)
    run.check("actor_rollout_ref.model.use_remove_padding=false")
    monkeypatch.setattr(model_files, "find_spec", lambda name: object())
    run.check(packed)
    (run.student / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    monkeypatch.setattr(model_files, "find_spec", lambda name: None)
    run.check(packed)
