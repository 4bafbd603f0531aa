"""Whole evaluations against a server of the test's own: what is asked and counted, and what goes on after a stop."""

import asyncio
import base64
import io
import json
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from recipe.zppo import bounded_grader
from recipe.zppo.benchmarks.contract import Benchmark
from recipe.zppo.benchmarks.scoring.short import decide_short
from recipe.zppo.bounded_grader import BoundedGrader
from recipe.zppo.errors import ConfigError, RolloutError
from recipe.zppo.evaluate.evaluation import Evaluation
from recipe.zppo.evaluate.results import Line, ModelResults, read_lines, read_results
from recipe.zppo.evaluate.runner import Limits
from recipe.zppo.evaluate.settings import EvaluateSettings
from recipe.zppo.prompts import CLOSER
from tests.evaluate.small import PICTURES, TEXT, TURNS, png, sums, write_all, write_jsonl, write_pictures
from tests.teacher.fake_endpoint import KEY, FakeEndpoint, completion

ALL = (TEXT, PICTURES, TURNS)


def text_of(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def evaluate(
    tmp_path: Path, benchmarks: Sequence[Benchmark], endpoint: FakeEndpoint, **changes: Any
) -> list[ModelResults]:
    """To its end; the models' results, as they were written."""
    keys = {"model": ("student",), "server": endpoint.url, "judge": None, "retries": 1, "in_flight": 4}
    keys |= {"data": str(tmp_path / "data"), "out": str(tmp_path / "out"), **changes}
    evaluation = Evaluation(EvaluateSettings(**keys), benchmarks)
    asyncio.run(evaluation.run())
    return [read_results(model.folder) for model in evaluation.models]


def lines(tmp_path: Path, benchmark: Benchmark, model: str = "student") -> dict[str, Line]:
    return {line.id: line for line in read_lines(tmp_path / f"out/{model}/questions/{benchmark.name}.jsonl")}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipe.zppo.evaluate.evaluation.Limits", partial(Limits, pause_s=0.0))


def test_what_is_asked_and_who_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A student that is right, wrong, silent and cut; a judge that is asked of the rest alone."""
    write_all(tmp_path / "data")
    monkeypatch.setenv("MY_KEY", KEY)
    said = {"0 + 1": r"\boxed{1}", "1 + 1": r"\boxed{3}", "2 + 1": "three", "3 + 1": "it is"}

    def answer(body: dict[str, Any]) -> Any:
        text = text_of(body)
        if body["model"] == "judge":
            if "criterion" in text or text.startswith("3?"):
                return "YES"
            return '{"verdict": "correct"}' if "<response>\nthree\n" in text else "Correct!"
        whole = completion(next((reply for sum, reply in said.items() if text.startswith(sum)), r"\boxed{red}"))
        whole["choices"][0]["finish_reason"] = "length" if text.startswith("3 + 1") else "stop"
        return web.json_response(whole)

    with FakeEndpoint(answer, models=("student", "judge"), key=KEY) as server:
        judge = {"judge": "judge", "judge_server": server.url, "judge_key_env": "MY_KEY", "server_key_env": "MY_KEY"}
        (results,) = evaluate(tmp_path, ALL, server, **judge)
        asked = [body for body in server.requests if body["model"] == "student"]
        judged = [body for body in server.requests if body["model"] == "judge"]
        evaluate(tmp_path, ALL, server, **judge)  # nothing is left
        assert len(asked) == 12 and len(judged) == 6 == len(server.requests) - 12

    decoding = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.0, "presence_penalty": 1.5}
    decoding |= {"repetition_penalty": 1.0, "max_tokens": 12288}
    seeds = set()
    for body in asked:
        seeds.add(body.pop("seed"))
        messages = body.pop("messages")
        assert body == {"model": "student", "stream": False} | decoding
        text = text_of({"messages": messages})
        assert text.endswith(f"\n\n{CLOSER.text}") and text.count(CLOSER.text) == 1
    assert len(seeds) == 12
    for body in judged:
        assert (body["temperature"], body["top_p"], body["top_k"], body["max_tokens"]) == (0.0, 1.0, -1, 512)
        assert body["chat_template_kwargs"] == {"enable_thinking": False}

    text, pictures, turns = (results.benchmarks[benchmark.name] for benchmark in ALL)
    assert (text.score, text.answered, text.by_rule, text.by_judge, text.malformed, text.cut) == (50.0, 4, 2, 2, 1, 1)
    assert (pictures.score, pictures.by_metric, turns.score, turns.by_judge) == (100.0, 4, 100.0, 4)
    found = lines(tmp_path, TEXT)
    assert list(found) == ["s0", "s1", "s2", "s3"]
    assert found["s2"] == Line(
        "s2", 0, "", f"2 + 1 = ?\n\n{CLOSER.text}", "3", "three", "", "judge", 1.0, "stop", 1,
        '{"verdict": "correct"}', 2,
    )  # fmt: skip
    assert [found["s3"].finish, found["s3"].malformed, found["s3"].score] == ["length", True, 0.0]
    prompt = lines(tmp_path, TURNS)["t0"].prompt
    assert prompt == f"user: 1 + 1 = ?\n\nassistant: 2\n\nuser: and 1 more?\n\n{CLOSER.text}"
    assert results.protocol["max_tokens"] == 12288 and results.seed == 0 and results.versions["verl"] == "0.9.1"
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 5 and not [path for path in written if KEY.encode() in path.read_bytes()]


def test_pictures_within_the_protocol_s_limits(tmp_path: Path):
    """As they are where they are within; else resized, without loss."""
    images = [png(), png(size=(100, 100)), png(size=(2000, 1000)), None]
    write_pictures(tmp_path / "data/own/pictures/test.parquet", images)
    with FakeEndpoint(lambda body: r"\boxed{red}") as server:
        for fields_only in (False, True):
            keys = {"openai_fields_only": fields_only, "out": str(tmp_path / f"{fields_only}")}
            (results,) = evaluate(tmp_path, [PICTURES], server, model=("teacher",), **keys)
    others = [sorted(body.keys() & {"top_k", "min_p", "repetition_penalty", "stop"}) for body in server.requests]
    assert others == [["min_p", "repetition_penalty", "top_k"]] * 3 + [[]] * 3
    sent = [body["messages"][0]["content"][0]["image_url"]["url"].partition(";base64,") for body in server.requests]
    found = [(kind, base64.b64decode(data)) for kind, _, data in sent]
    sizes = [
        sorted((kind[11:], Image.open(io.BytesIO(data)).size) for kind, data in part) for part in (found[:3], found[3:])
    ]
    assert sizes == [
        [("bmp", (512, 512)), ("bmp", (1619, 809)), ("png", (512, 512))],
        [("png", (512, 512)), ("png", (512, 512)), ("png", (1619, 809))],
    ]
    assert [data for _, data in found].count(images[0]) == 2
    result = results.benchmarks["Pictures"]
    assert result.score is None and (result.answered, result.unanswered) == (3, 1)
    assert result.error == (
        "1 of 4 unanswered, more than 1%; the first one: own/pictures, row 3: its image is missing; "
        "correct it in a local copy"
    )


def broken(kind: str) -> web.Response:
    return {
        "500": lambda: web.json_response({"error": {"message": "out of memory"}}, status=500),
        "400": lambda: web.json_response({"error": {"message": "the prompt is too long"}}, status=400),
        "nonsense": lambda: web.Response(text="<html>", content_type="text/html"),
        "other": lambda: web.json_response({"answer": 42}),
    }[kind]()


def test_what_fails_is_unanswered_and_asked_again_next_time(tmp_path: Path):
    """A failure is tried again, within its limit; one of the request itself is not."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(8))
    failures = {"s1": ["500"], "s2": ["500", "other"], "s3": ["400"], "s4": ["nonsense"] * 9}
    tries: Counter[str] = Counter()

    def answer(body: dict[str, Any]) -> Any:
        id = f"s{text_of(body)[0]}"
        tries[id] += 1
        return broken(failures[id].pop(0)) if failures.get(id) else rf"\boxed{{{int(id[1]) + 1}}}"

    with FakeEndpoint(answer, models=("student",)) as server:
        (results,) = evaluate(tmp_path, [TEXT], server)
        assert [tries[f"s{i}"] for i in range(8)] == [1, 2, 2, 1, 2, 1, 1, 1]
        first = results.benchmarks["Text"]
        assert (first.score, first.answered, first.unanswered, first.by_rule) == (None, 5, 3, 5)
        assert first.error.startswith("3 of 8 unanswered, more than 1%; the first one: own/sums, question s2: ")
        assert "too long" in lines(tmp_path, TEXT)["s3"].error and "not JSON" in lines(tmp_path, TEXT)["s4"].error
        failures.clear()
        tries.clear()
        (results,) = evaluate(tmp_path, [TEXT], server)
        assert tries == {"s2": 1, "s3": 1, "s4": 1} and results.benchmarks["Text"].score == 100.0


def test_a_key_that_is_not_accepted_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """At once, with the name of its variable; also where the list of models is open to all."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(100))
    monkeypatch.setenv("MY_KEY", KEY)
    with FakeEndpoint(lambda body: web.Response(text=f"no such key: {KEY}", status=401), models=("student",)) as server:
        with pytest.raises(RolloutError, match="set the environment variable of server_key_env=MY_KEY") as error:
            evaluate(tmp_path, [TEXT], server, server_key_env="MY_KEY")
        assert KEY not in str(error.value) and len(server.requests) <= 4


def test_few_unanswered_rows_leave_a_score(tmp_path: Path):
    """1% and no more; a wrong answer is another thing."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(100))

    def answer(body: dict[str, Any]) -> Any:
        number = int(text_of(body).split()[0])
        return broken("400") if number == 7 else rf"\boxed{{{number + (number != 9)}}}"

    with FakeEndpoint(answer, models=("student",)) as server:
        (results,) = evaluate(tmp_path, [TEXT], server, in_flight=16)
        assert 2 <= server.most_running <= 16
        result = results.benchmarks["Text"]
        assert result.score == pytest.approx(100 * 98 / 99) and result.unanswered == 1 and "s7" in result.error
        evaluate(tmp_path, [TEXT], server)  # that is finished
        assert len(server.requests) == 100


def test_a_dead_server_ends_the_command_and_the_next_goes_on(tmp_path: Path):
    """It dies for good after 40 of 100, in the middle of a line as well; what was answered is not asked again."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(100))
    served: list[str] = []
    dead = True

    def answer(body: dict[str, Any]) -> Any:
        if dead and len(served) == 40:
            return broken("500")
        served.append(text_of(body).split()[0])
        return rf"\boxed{{{served[-1]}}}"

    with FakeEndpoint(answer, models=("student",)) as server:
        with pytest.raises(RolloutError, match=r"^Text: 16 questions in a row without an answer, the last one: .*500"):
            evaluate(tmp_path, [TEXT], server, samples=2)
        assert len(served) == 40
        path = tmp_path / "out/student/questions/Text.jsonl"
        with path.open("a") as file:
            file.write('{"id": "s99", "sample": 1, "score": 1.0, "resp')
        dead = False
        (results,) = evaluate(tmp_path, [TEXT], server, samples=2)
    assert Counter(Counter(served).values()) == {2: 100}
    result = results.benchmarks["Text"]
    assert (result.score, result.lines, result.questions, result.standard_error) == (0.0, 200, 100, 0.0)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["id"], row["sample"]) for row in rows] == [(f"s{i}", sample) for i in range(100) for sample in (0, 1)]


def test_samples_give_a_standard_error(tmp_path: Path):
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(4))
    replies = {"0": iter("1122"), "1": iter("2222"), "2": iter("3999"), "3": iter("9999")}

    def answer(body: dict[str, Any]) -> str:
        return rf"\boxed{{{next(replies[text_of(body)[0]])}}}"

    with FakeEndpoint(answer, models=("student",)) as server:
        (results,) = evaluate(tmp_path, [TEXT], server, samples=4, in_flight=1)
    result = results.benchmarks["Text"]
    assert result.sample_scores == [75.0, 50.0, 25.0, 25.0] and result.score == 43.75
    assert result.standard_error == pytest.approx(11.967839)


def test_a_judge_that_fails_costs_no_answers(tmp_path: Path):
    """Without a verdict a row is unanswered; the next call asks the judge alone."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(3))
    down = True

    def answer(body: dict[str, Any]) -> Any:
        if body["model"] == "student":
            return "no box"
        return broken("500") if down else '{"verdict": "wrong"}'

    with FakeEndpoint(answer, models=("student", "judge")) as server:
        options = {"judge": "judge", "judge_server": server.url}
        (results,) = evaluate(tmp_path, [TEXT], server, **options)
        assert results.benchmarks["Text"].unanswered == 3
        assert results.benchmarks["Text"].error.startswith(
            "3 of 3 unanswered, more than 1%; the first one: no verdict on s"
        )
        down = False
        (results,) = evaluate(tmp_path, [TEXT], server, **options)
        assert Counter(body["model"] for body in server.requests) == {"student": 3, "judge": 9}
        assert results.benchmarks["Text"].score == 0.0


def test_a_grader_that_is_killed_leaves_the_answer_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It scores nothing, and the next call compares it without asking the student again."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(1))
    out_of_memory = tmp_path / "full"
    out_of_memory.touch()
    script = (
        "import os, sys; from recipe.zppo.bounded_grader import serve; "
        "serve(lambda answer, gold: os.kill(os.getpid(), 9) if os.path.exists(sys.argv[1]) else True)"
    )
    grader = BoundedGrader([sys.executable, "-c", script, str(out_of_memory)])
    for name in bounded_grader._graders:
        monkeypatch.setitem(bounded_grader._graders, name, grader)
    by_graders = replace(TEXT, decide=decide_short)
    with FakeEndpoint(lambda body: r"\boxed{one, in words}", models=("student",)) as server:
        (results,) = evaluate(tmp_path, [by_graders], server)
        line, result = lines(tmp_path, TEXT)["s0"], results.benchmarks["Text"]
        assert (line.score, line.response, result.score) == (None, r"\boxed{one, in words}", None)
        assert line.error.startswith(
            "Text: its rule failed on s0: HelperKilledError: the process that compares answers"
        )
        out_of_memory.unlink()
        (results,) = evaluate(tmp_path, [by_graders], server)
        assert results.benchmarks["Text"].score == 100.0 and len(server.requests) == 1


def test_no_judge_and_the_same_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """What the rule leaves open scores 0 and is counted; a benchmark of a judge alone has no score."""
    write_all(tmp_path / "data")
    with FakeEndpoint(lambda body: "no box", models=("student",)) as server:
        (results,) = evaluate(tmp_path, [TEXT, TURNS], server)
        text, turns = results.benchmarks["Text"], results.benchmarks["Turns"]
        assert (text.score, text.undecided, text.by_judge) == (0.0, 4, 0)
        assert (turns.score, turns.error) == (None, "Turns is scored by a judge alone, and judge=null")
        (results,) = evaluate(tmp_path, [TEXT], server, judge="same", out=str(tmp_path / "same"))
        assert (results.benchmarks["Text"].by_judge, results.benchmarks["Text"].malformed) == (4, 4)
    assert "student, Text: 0.00 of 4 questions (4 with a malformed verdict)\n" in capfd.readouterr().err


@pytest.mark.parametrize(("sees", "seen"), [("extracted", "five"), ("whole", "I add.\nIt is \\boxed{five}")])
def test_what_the_judge_sees(tmp_path: Path, sees: str, seen: str):
    """The boxed answer, or the response with its reasoning."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(1))
    open_to_the_judge = replace(TEXT, decide=None)

    def answer(body: dict[str, Any]) -> str:
        return '{"verdict": "correct"}' if body["model"] == "judge" else "I add.\nIt is \\boxed{five}"

    with FakeEndpoint(answer, models=("student", "judge")) as server:
        options = {"judge": "judge", "judge_server": server.url, "judge_sees": sees}
        (results,) = evaluate(tmp_path, [open_to_the_judge], server, **options)
        (judged,) = [text_of(body) for body in server.requests if body["model"] == "judge"]
    assert f"<response>\n{seen}\n</response>" in judged and results.benchmarks["Text"].score == 100.0


def test_models_of_a_call_share_what_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each has a folder; a set that can't be had is said once a model, and the others go on."""
    write_all(tmp_path / "data")
    (tmp_path / "data/own/turns/test.jsonl").unlink()
    found: list[str] = []
    from recipe.zppo.benchmarks import loading

    local_set = loading.local_set
    monkeypatch.setattr(
        loading, "local_set", lambda source, data: found.append(source.dataset) or local_set(source, data)
    )
    with FakeEndpoint(lambda body: r"\boxed{1}", models=("run/step_1", "run/step_2")) as server:
        both = evaluate(tmp_path, ALL, server, model=("run/step_1", "better=run/step_2"), limit=2, judge="same")
    assert found == ["own/sums", "own/pictures", "own/turns"]
    assert [each.model for each in both] == ["step_1", "better"] and both[1].path == "run/step_2"
    assert list(lines(tmp_path, TEXT, "step_1")) == list(lines(tmp_path, TEXT, "better"))
    for results in both:
        assert results.benchmarks["Text"].questions == 2
        assert results.benchmarks["Turns"].error.startswith("own/turns: no file of the split test in ")


def test_other_settings_are_refused(tmp_path: Path):
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(2))
    with FakeEndpoint(lambda body: r"\boxed{1}", models=("student", "other/student")) as server:

        def refused(**changes: Any) -> str:
            with pytest.raises(ConfigError) as error:
                evaluate(tmp_path, [TEXT], server, **changes)
            return str(error.value).replace(str(tmp_path), "")

        evaluate(tmp_path, [TEXT], server)
        back = "; set it back, or give another out"
        assert refused(seed=1) == f"seed: /out/student was begun with 0, now it is 1{back}"
        assert refused(limit=1) == f"limit: /out/student was begun with null, now it is 1{back}"
        assert refused(max_tokens=64) == f"max_tokens: /out/student was begun with 12288, now it is 64{back}"
        assert refused(judge="same") == f"judge: /out/student was begun with null, now it is same{back}"
        assert refused(model=("other/student",)).startswith("model: /out/student was begun with student, now")
        assert refused(openai_fields_only=True).startswith("openai_fields_only: ")
        assert refused(model=("a/x", "a/x")).startswith("model: two models are called a-x")
        assert refused(data="nowhere").startswith("data: there is no folder nowhere; ")
        away = tmp_path / "elsewhere"
        message = refused(model=("Qwen",), out=str(away))
        assert message == f"model: server={server.url} serves student, other/student, not Qwen"
        assert "server: http://127.0.0.1:9/v1: can't be reached" in refused(
            server="http://127.0.0.1:9/v1", out=str(away / "b")
        )


def test_keys_in_one_line(capfd: pytest.CaptureFixture[str]):
    from recipe.zppo.evaluate.__main__ import main

    def refused(*arguments: str) -> str:
        assert main(arguments) == 2
        return capfd.readouterr().err.strip()

    assert refused("modell=a") == "zppo: unknown key modell; did you mean model?"
    assert (
        refused() == "zppo: model: needed; folder or hub id, or a list of them; with server the name that it serves; "
        "NAME=PATH names it in the tables"
    )
    assert refused("model=a", "benchmarks=[AI2E]", "judge=null").startswith(
        "zppo: benchmarks: there is no benchmark or fam"
    )
    assert refused("model=a", "limit=0") == "zppo: limit: expected at least 1, got 0"
    assert refused("model=a", "engine=hf").startswith(
        "zppo: judge: Qwen/Qwen3.5-27B-FP8 is too large for engine=hf; give"
    )
    assert refused("model=a", "server=http://h/v1").startswith("zppo: judge: beside server give judge_server=URL")


def test_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """A benchmark of the paper, copies of its data, the paper's row; and one whose data are not there."""
    from recipe.zppo.evaluate.__main__ import main

    rows = [{"question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(3)]
    for config, part in (("AIME2025-I", rows[:2]), ("AIME2025-II", rows[2:])):
        write_jsonl(tmp_path / f"data/opencompass/AIME2025/{config}/test.jsonl", part)
    arguments = ["model=student", "judge=null", f"data={tmp_path}/data", f"out={tmp_path}/out", "paper=0.8B/zppo"]

    with FakeEndpoint(lambda body: r"\boxed{1}", models=("student",)) as server:
        assert main([*arguments, f"server={server.url}", "benchmarks=[AIME25]"]) == 0
        out, said = capfd.readouterr()
        written = out.split()
        assert [Path(path).name for path in written] == ["table.md", "table.csv", "plot.png"]
        assert "student, AIME25: 33.33 of 3 questions" in said
        table = Path(written[0]).read_text()
        assert "| AIME25 |" in table and "33.3" in table
        assert main([*arguments, f"server={server.url}", "benchmarks=[AIME25,AIME26]"]) == 1
        assert len(server.requests) == 3
    _, said = capfd.readouterr()
    assert "student, AIME26: no score: MathArena/aime_2026: there is no folder " in said
    assert said.splitlines()[-1] == "zppo: no score: student: AIME26"
    table = Path(written[0]).read_text()
    assert "| student | AIME25 |" in table and "| student | AIME26 |" not in table  # nothing was decided
    gone = "server=http://127.0.0.1:9/v1"
    assert main([*arguments, gone, "benchmarks=[AIME26]"]) == 1  # nothing to ask it
    assert "there is no folder " in capfd.readouterr().err
    shutil.rmtree(tmp_path / "out")
    assert main([*arguments, gone, "benchmarks=[AIME25]"]) == 2
    assert capfd.readouterr().err.startswith("zppo: server: http://127.0.0.1:9/v1: can't be reached: ")
