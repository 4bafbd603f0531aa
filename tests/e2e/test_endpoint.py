"""Two steps on the whole stack with a teacher and judge behind HTTP, and half of the rows free-form."""

import json
import os
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recipe.zppo.run.folder import RunFolder
from recipe.zppo.view.run_summary import Summary
from tests.e2e.conftest import Training
from tests.teacher.fake_endpoint import KEY, FakeEndpoint
from tests.teacher.world_teacher import WorldTeacher, check_routing, with_free_form_rows

pytestmark = pytest.mark.e2e

STEPS = (1, 2)


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("endpoint")
    files = [with_free_form_rows(source, folder / source.name) for source in (world.train_file, world.val_file)]
    training, teacher = Training(world, folder), WorldTeacher(*files)
    training.started = time.time()
    with FakeEndpoint(teacher, models=("other", "Teacher-27B"), key=KEY) as server:
        training.run(
            f"data.train_files={files[0]}",
            f"data.val_files={files[1]}",
            "data.val_max_samples=16",
            f"zppo.teacher.base_url={server.url}",
            "zppo.teacher.path=Teacher-27B",
            "zppo.judge.enable=true",
            "zppo.judge.validation_route=unresolved",
            "zppo.reformulation.fraction=1.0",
            "trainer.val_before_train=true",
            "trainer.total_training_steps=2",
            "trainer.save_freq=2",
            env={"ZPPO_TEACHER_API_KEY": KEY},
        )
        training.requests = list(server.requests)
    training.teacher = teacher
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    free_form = [row for row in rows if row["extra_info"]["answer_type"] == "free_form"]
    training.free_form = {row["prompt_id"] for row in free_form}
    training.free_form_questions = {row["prompt"][0]["content"] for row in free_form}
    return training


def test_free_form_rows_are_judged_and_no_others_and_the_metrics_say_so(finished):
    totals = {"correct": 0, "wrong": 0, "malformed": 0}
    kinds = set()
    for step in STEPS:
        lines = finished.rollouts(step)
        kinds |= {line["kind"] for line in lines if line["prompt_id"] in finished.free_form}
        counts = check_routing(lines, finished.free_form, finished.teacher)
        metrics = finished.metrics()[step]
        assert {name: metrics[f"zppo/judge/{name}"] for name in counts} == counts
        assert metrics["zppo/judge/free_form"] == metrics["zppo/judge/verdicts"] == sum(counts.values()) > 0
        assert metrics["zppo/judge/failed"] == 0 and metrics["zppo/tokens/judge"] > 0
        for name, count in counts.items():
            totals[name] += count
    assert "plain" in kinds and len(kinds) > 1  # judged whatever the prompt shows
    assert all(totals.values()), totals
    judge = Summary.of(RunFolder(finished.run_dir)).judge
    assert (judge.verdicts, judge.correct, judge.malformed) == (
        sum(totals.values()),
        totals["correct"],
        totals["malformed"],
    )


def test_bcq_is_built_from_the_endpoints_answers(finished):
    built = 0
    for step in STEPS:
        for line in finished.rollouts(step):
            if line["kind"] == "bcq":
                (right,) = (candidate for candidate in line["candidates"] if candidate["source"] == "teacher")
                assert right["correct"] and right["answer"] == line["ground_truth"]
                assert (right["text"], right["compression"]) == (f"\\boxed{{{line['ground_truth']}}}", "teacher")
                built += 1
        assert finished.metrics()[step]["zppo/teacher/accuracy"] > 0.5
        assert finished.metrics()[step]["zppo/tokens/teacher"] > 0
    assert built and finished.teacher.compressed >= built


def test_validation_asks_the_judge_what_the_rule_leaves(finished):
    metrics = finished.metrics()[0]
    judged = metrics["val-aux/price_list/judged/mean@1"]
    accuracy = metrics["val-core/price_list/acc/mean@1"]
    assert 0 < judged < 1 and 0 <= accuracy < 1
    first = finished.teacher.judged[: round(judged * metrics["zppo/validation/price_list/questions"])]
    assert first and all(answer != reference for _, reference, answer, _ in first)
    assert {question in finished.free_form_questions for question, *_ in first} == {True, False}
    malformed = sum(reply == "It is correct." for *_, reply in first) / metrics["zppo/validation/price_list/questions"]
    assert metrics["val-aux/price_list/judge_malformed/mean@1"] == pytest.approx(malformed)


def test_requests_are_as_configured(finished):
    for body in finished.requests:
        judges = "<reference>" in body["messages"][-1]["content"]
        assert body["model"] == "Teacher-27B"
        assert (body["temperature"], body["top_p"]) == ((0.0, 1.0) if judges else (1.0, 1.0))
        thinks = not judges and not body["messages"][-1]["content"].startswith("Compress")
        assert body.get("chat_template_kwargs") == (None if thinks else {"enable_thinking": False})
        assert body["max_tokens"] in ({512} if judges else {32, 48})


def test_no_accelerator_was_given_to_the_teacher(finished):
    log = finished.log()
    assert "'num_gpus': 1" in log and "'num_gpus': 2" not in log


def test_the_key_is_in_no_file(finished):
    folders = [finished.folder]
    sessions = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray"
    folders += [path for path in sessions.glob("session_*/logs") if path.stat().st_mtime >= finished.started]
    assert len(folders) > 1  # Ray's own logs too
    read = 0
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                assert KEY.encode() not in path.read_bytes(), path
                read += 1
    assert read > 20
    assert json.loads((finished.run_dir / "status.json").read_text())["stage"] == "done"
