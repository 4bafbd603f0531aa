"""Whole evaluations against a server of the test's own: what is asked and counted."""

import base64
import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from recipe.zppo.errors import ConfigError
from recipe.zppo.evaluate.results import Line
from recipe.zppo.prompts import CLOSER
from tests.evaluate.calls import evaluate, lines, text_of
from tests.evaluate.small import PICTURES, TEXT, TURNS, png, sums, write_all, write_jsonl, write_pictures
from tests.teacher.fake_endpoint import KEY, FakeEndpoint, completion

ALL = (TEXT, PICTURES, TURNS)
pytestmark = pytest.mark.usefixtures("no_pauses")


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
    for key in ("server", "judge_server"):
        expected = f"zppo: {key}: expected an address such as http://host:8000/v1"
        assert refused("model=a", f"{key}=localhost:8000/v1") == expected
    assert "sk-1" not in (said := refused("model=a", "server=https://sk-1@host/v1"))
    assert said.endswith("put the key into the environment variable ZPPO_EVALUATE_API_KEY (server_key_env)")
    assert refused("model=a", "judge_key_env=sk-1").endswith("expected the name of an environment variable, not a key")


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
