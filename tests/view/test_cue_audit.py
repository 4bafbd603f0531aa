"""The audit on BCQs whose right candidate is, or is not, told by one thing about its looks."""

import json
import random
import sys
from pathlib import Path

import pytest
from scipy.stats import binomtest

from recipe.zppo.answer_format import AnswerFormat
from recipe.zppo.view import cue_audit
from recipe.zppo.view.cue_audit import GROUPS, audit, is_cue, read_pairs, warning
from recipe.zppo.view.interval import Proportion


def pair(rng: random.Random, question: str, cue: str = "") -> dict:
    """A BCQ whose candidates differ at random, but for ``cue``."""
    right, wrong = (
        {
            "correct": correct,
            "compression": "teacher",
            "words": rng.randint(5, 40),
            "start": "So we",
            "box": "\\boxed{1}",
        }
        for correct in (True, False)
    )
    if cue == "length":
        right["words"] = wrong["words"] + 3
    elif cue == "form":
        wrong["compression"] = "tail:answer_changed"
    elif cue == "box":
        wrong["box"] = "1"
    elif cue == "opening":
        right["start"], wrong["start"] = rng.choice([("To find", "I think"), ("First, the", "Hmm, let")])
    elif cue == "names":
        right["start"], wrong["start"] = f"{question}-yes is", f"{question}-no is"
    candidates = [right, wrong]
    if cue != "position":
        rng.shuffle(candidates)
    for each in candidates:
        each["text"] = f"{each.pop('start')} {'word ' * each.pop('words')}{each.pop('box')}"
    return {"prompt_id": question, "kind": "bcq", "candidates": candidates, "responses": []}


def pairs(cue: str = "", questions: int = 120, times: int = 1) -> list[dict]:
    rng = random.Random(5)
    return [pair(rng, f"q{i}", cue) for i in range(questions) for _ in range(times)]


@pytest.mark.parametrize("cue", list(GROUPS))
def test_a_cue_is_found_under_its_name(cue) -> None:
    shares = audit(read_pairs(pairs(cue)))
    assert shares[cue].value > 0.9 and shares["all"].value > 0.9
    assert f"{cue} {shares[cue].value:.0%}" in warning(shares)
    others = [name for name in GROUPS if name not in (cue, "length")]  # a box has a length
    assert not any(is_cue(shares[name]) for name in others)


def test_answers_of_another_form_are_looked_at_in_that_form() -> None:
    groups = pairs()
    for group in groups:
        for candidate in group["candidates"]:
            candidate["text"] = candidate["text"].split("\\boxed")[0] + ("\n#### 4" if candidate["correct"] else "")
            candidate["shown_answer"] = "4" if candidate["correct"] else ""
    shares = audit(read_pairs(groups, AnswerFormat(form="#### {answer}")))
    assert shares["box"].value == 1.0 and "box" in warning(shares)


def test_candidates_that_look_alike_give_nothing_away() -> None:
    shares = audit(read_pairs(pairs()))
    assert warning(shares) is None
    assert all(0.35 < share.value < 0.62 for share in shares.values())
    assert shares["form"].value == shares["box"].value == shares["opening"].value == 0.5  # no difference, no guess


def test_a_question_is_not_known_by_heart() -> None:
    """Each has words of its own, and comes back five times."""
    shares = audit(read_pairs(pairs("names", questions=60, times=5)))
    assert shares["opening"] == Proportion(0.5, 60)


def test_words_that_no_other_candidate_opens_with_tell_nothing() -> None:
    assert audit(read_pairs(pairs("names", questions=60)))["opening"] == Proportion(0.5, 60)


def test_questions_count_once_however_often_they_came() -> None:
    often = [line for line in pairs("length", 60) for _ in range(4)]
    assert audit(read_pairs(often))["length"].whole == 60


def test_chance_is_no_cue() -> None:
    few, many = Proportion(0.62, 50), Proportion(0.62, 500)
    assert few.low < 0.5 < many.low
    assert warning({"length": few}) is None and "length 62%" in warning({"length": many})
    assert warning({"length": Proportion(0.59, 5000)}) is None


@pytest.mark.parametrize(("right", "whole"), [(0, 50), (31, 50), (50, 50), (300, 470)])
def test_the_interval_is_wilsons(right, whole) -> None:
    expected = binomtest(right, whole).proportion_ci(method="wilson")
    share = Proportion(right / whole, whole)
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_only_pairs_of_a_right_and_a_wrong_candidate_count() -> None:
    lines = pairs("length", 3)
    lines[0]["candidates"][0]["correct"] = lines[0]["candidates"][1]["correct"] = False
    plain = {"kind": "plain", "prompt_id": "q", "candidates": []}
    assert [each.question for each in read_pairs([*lines, plain, {"kind": "plain"}])] == ["q1", "q2"]


def write(folder: Path, lines: list[dict]) -> str:
    (folder / "rollouts").mkdir()
    (folder / "rollouts/step_000001.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "{half")
    return str(folder)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert cue_audit.main([write(tmp_path, pairs("form"))]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{tmp_path.name} · method not recorded\n")
    assert "120 BCQs of 120 questions: 120 mixed" in shown
    assert "WARNING: the right candidate can be told by its looks (form 100%, all 100%; more than 60%)" in shown


def test_the_command_without_a_cue_warns_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert cue_audit.main([write(tmp_path, pairs())]) == 0
    shown = capsys.readouterr().out
    assert "120 summary" in shown and "WARNING" not in shown


def test_too_few_are_refused(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert cue_audit.main([write(tmp_path, pairs("form", 49, 3))]) == 2
    assert capsys.readouterr().err.startswith("zppo: 49 questions with a right and a wrong candidate are too few")
    assert cue_audit.main([str(tmp_path / "rollouts")]) == 2
    assert "has no rollout files" in capsys.readouterr().err
    assert cue_audit.main([str(finished_run)]) == 2  # of real lines, whose BCQs are few


def test_without_scikit_learn_the_error_says_what_to_install(tmp_path: Path, capsys, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert cue_audit.main([write(tmp_path, pairs())]) == 2
    assert capsys.readouterr().err == "zppo: the audit needs scikit-learn: pip install 'open-zppo[audit]'\n"
