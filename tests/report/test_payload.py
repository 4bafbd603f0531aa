"""What the page shows, against counts from the raw files; and what each kind of run says that it is."""

import base64
import json
import shutil
import zlib
from collections import Counter
from pathlib import Path

import pytest

from recipe.zppo.report import __main__ as command
from recipe.zppo.report.payload import report
from recipe.zppo.report.questions import in_turn
from recipe.zppo.report.texts import LONGEST, cut, parts
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.view.question_life import lives

from .conftest import plain


def run_of(path: Path) -> dict:
    return report([RunFolder(path)])["runs"][0]


def unpacked(packed: str) -> dict:
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def chart(run: dict, figure: str) -> dict[str, list]:
    (found,) = [each for each in run["charts"] if each["figure"] == figure]
    return {"x": found["x"]} | {series["name"]: series["values"] for series in found["series"]}


def test_head_and_charts_are_what_the_raw_logs_say(finished: Path):
    run, events = run_of(finished), plain(finished / "events.jsonl")
    lines = [line for file in sorted((finished / "rollouts").iterdir()) for line in plain(file)]
    graduated = [event for event in events if event["type"] == "graduated"]
    evicted = [event for event in events if event["type"] == "evicted"]
    head = {number["name"]: number for number in run["head"]}
    assert len(head) == 10
    assert head["graduated"]["value"] == f"{len(graduated) / (len(graduated) + len(evicted)):.1%}"
    assert head["graduated"]["detail"] == f"{len(graduated)} of {len(graduated) + len(evicted)} that left"
    for kind in ("bcq", "ncq"):
        accuracies = [line["accuracy"] for line in lines if line["kind"] == kind]
        assert head[f"{kind.upper()} right"]["value"] == f"{sum(accuracies) / len(accuracies):.1%}"
    assert head["steps"]["value"] == "12 of 12" and head["failures"]["value"] == "0"

    assert chart(run, "Fig. 5b")["graduated"][-1] == len(graduated)
    entries = Counter(event["entry_accuracy"] for event in graduated)
    by_entry = dict(zip(*chart(run, "Fig. 21").values(), strict=True))
    assert {entry: n for entry, n in by_entry.items() if n} == {f"{entry:.1%}": n for entry, n in entries.items()}
    outcomes = Counter(("graduated", event["visits"]) for event in graduated)
    outcomes += Counter((("never improved", "improved")[event["improved"]], event["visits"]) for event in evicted)
    (fates,) = [each for each in run["charts"] if each["figure"] == "Fig. 24"]
    shown = {
        (series["name"], int(label.split()[0])): count
        for series in fates["series"]
        for label, count in zip(fates["x"], series["counts"], strict=True)
        if count
    }
    assert shown == outcomes and {name for name, _ in shown} == {"graduated", "improved", "never improved"}
    after_the_cap = next(each for each in run["charts"] if each["title"].endswith("after the cap"))
    step = [line for line in lines if line["step"] == 5]
    easy = sum(line["kind"] == "plain" and line["accuracy"] >= 0.5 for line in step)
    assert after_the_cap["series"][0]["values"][4] == pytest.approx(easy / len(step), abs=1e-6)


def test_questions_and_their_texts_are_those_of_the_raw_logs(finished: Path):
    run, events = run_of(finished), plain(finished / "events.jsonl")
    hard = {event["prompt_id"] for event in events if event["type"] == "admitted"}
    assert {row["id"] for row in run["questions"]} == hard == set(run["texts"])
    drawn = {}
    for event in events:
        if event["type"] == "rolled_out" and event["kind"] == "plain":
            drawn.setdefault(event["prompt_id"], []).append((event["step"], event["accuracy"]))
    for row in run["questions"]:
        assert [tuple(draw[:2]) for draw in row["draws"]] == drawn[row["id"]]
    assert Counter(row["fate"] for row in run["questions"])["graduated"] == sum(
        e["type"] == "graduated" for e in events
    )

    (bcq,) = [event for event in events if event["type"] == "rolled_out" and event["kind"] == "bcq"][:1]
    line = plain(finished / f"rollouts/step_{bcq['step']:06d}.jsonl")[bcq["line"]]
    life = unpacked(run["texts"][bcq["prompt_id"]])
    draw = next(draw for draw in life["draws"] if draw["step"] == bcq["step"])
    shown = next(group for group in draw["groups"] if group["kind"] == "bcq")
    for message, logged in zip(shown["prompt"], line["prompt"], strict=True):
        assert "".join(text for text, _ in message["parts"]) == logged["content"]
    marked = [number for _, number in shown["prompt"][-1]["parts"] if number >= 0]
    assert [shown["candidates"][number]["correct"] for number in marked] == [c["correct"] for c in line["candidates"]]
    answers = [candidate["answer"] for candidate in line["candidates"]]
    for response, logged in zip(shown["responses"], line["responses"], strict=True):
        assert (response["reward"], response["text"]) == (logged["reward"], logged["text"])
        assert response["follows"] == [i for i, answer in enumerate(answers) if answer == logged["answer"]]


def test_without_rollout_files_the_answers_are_there(finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("rollouts"))
    texts = run_of(Path(run))["texts"]
    groups = [group for packed in texts.values() for draw in unpacked(packed)["draws"] for group in draw["groups"]]
    assert len(groups) > 50 and {group["prompt"] for group in groups} == {None}
    said = {(response["text"], response["answer"]) for group in groups for response in group["responses"]}
    assert said == {(None, "1"), (None, "2")}


def test_every_fate_gets_its_turn(finished: Path):
    found = lives(RunFolder(finished))
    order = list(in_turn(found))
    assert Counter(life.prompt_id for life in order) == Counter(life.prompt_id for life in found)
    with_extra = [any(draw.extra for draw in life.draws) for life in order]
    assert with_extra == sorted(with_extra, reverse=True)
    fates = {life.fate for life, extra in zip(order, with_extra, strict=True) if extra}
    assert fates == {life.fate for life in order[:12]}, "none waits for the others to be done"


def test_a_page_is_bounded_and_says_so(finished: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("recipe.zppo.report.payload.TEXT_BYTES", 20_000)
    monkeypatch.setattr("recipe.zppo.report.payload.MOST_LISTED", 50)
    run = run_of(finished)
    assert len(run["questions"]) == 50 and 0 < len(run["texts"]) < 50
    assert sum(map(len, run["texts"].values())) <= 20_000
    assert "50 are listed" in run["sample"] and f"{len(run['texts'])} can be read here" in run["sample"]


def test_text_in_pieces_is_the_text():
    text = "ask\n<candidate>\none\n</candidate>\n<candidate>\ntwo\n</candidate>"
    pieces = parts(text, ["one", "two"])
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece in pieces if piece[1] >= 0] == [["one", 0], ["two", 1]]
    assert parts(text.replace("ask", "one"), ["one", "two"])[1] == ["one", 0], "not the one in the question"
    assert parts("cut before the candi", ["candidate"]) == [["cut before the candi", -1]]
    assert parts("", ["a"]) == []
    long = "a" * LONGEST + "the answer is 5"
    assert cut(long).startswith("aaa") and cut(long).endswith("the answer is 5") and "15 characters" in cut(long)


def test_each_kind_of_run_says_what_it_is(finished, crashed, resumed, one_step, distilled, empty):
    def said(path: Path) -> str:
        run = run_of(path)
        assert len(run["head"]) == 10
        return " ".join(run["story"])

    assert said(finished) == "Finished: 12 of 12 steps."
    assert said(crashed).startswith("Stopped: 7 of 40 steps; last seen in step 7, stage 'update'.")
    assert "begun 2 times, and went on from step 5" in said(resumed) and "5 of 40 steps" in said(resumed)
    assert "One step has been made" in said(one_step)
    assert "It is a distillation" in said(distilled)
    assert "no step is finished yet" in said(empty)
    failures = next(number for number in run_of(crashed)["head"] if number["name"] == "failures")
    assert failures["state"] == "look" and failures["value"] != "0"
    assert run_of(empty)["charts"] == [] == run_of(empty)["questions"]


def test_runs_side_by_side(finished: Path, crashed: Path):
    content = report([RunFolder(finished), RunFolder(crashed)])
    assert dict(content["compared"]["head"])["steps"] == ["12 of 12", "7 of 40"]
    assert content["compared"]["titles"] == ["finished · ZPPO", "crashed · ZPPO"]
    accuracy = content["compared"]["charts"][0]
    assert [series["name"] for series in accuracy["series"]] == content["compared"]["titles"]
    assert accuracy["series"][1]["values"][7:] == [None] * 5


def test_what_is_no_run_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "older").mkdir()
    (tmp_path / "older/metrics.jsonl").write_text("{}\n")
    for name, reason in {"none": "is not a folder", ".": "not the folder of a run", "older": "earlier version"}.items():
        assert command.main([str(tmp_path / name)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and reason in error
        assert command.main([str(tmp_path / name), "--serve", "--port", "0"]) == 2
        assert reason in capsys.readouterr().err
