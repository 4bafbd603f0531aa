"""The audit of App. F.7, by hand on a few groups and over the files of a run."""

from pathlib import Path

import pytest

from recipe.zppo.run.folder import RunFolder, read_json_lines
from recipe.zppo.view import candidate_match
from recipe.zppo.view.candidate_match import candidate_match as audit


def group(kind: str, candidates: list[tuple[bool, str]], responses: list[tuple[float, str]]) -> dict:
    return {
        "kind": kind,
        "candidates": [
            {"correct": right, "answer": text, "text": f"it is \\boxed{{{text}}}"} for right, text in candidates
        ],
        "responses": [{"reward": reward, "answer": answer} for reward, answer in responses],
    }


def shares(*groups: dict) -> list[tuple[int, int]]:
    return [(share.part, share.whole) for _, share, _ in audit(groups).rows()]


def test_bcq() -> None:
    both = [(False, "7"), (True, "14")]
    responses = [(1.0, "14"), (1.0, "14.0"), (0.0, "7"), (0.0, "8"), (0.0, "")]
    assert shares(group("bcq", both, responses)) == [(2, 5), (1, 2), (1, 3), (0, 0), (0, 0), (0, 0)]


def test_ncq() -> None:
    listed = [(False, "7"), (False, "New  York"), (False, "")]
    responses = [(0.0, "\\text{new york}"), (0.0, "7"), (0.0, "9"), (1.0, "14")]
    assert shares(group("ncq", listed, responses)) == [(0, 0), (0, 0), (0, 0), (1, 4), (2, 4), (0, 0)]


def test_ncq_and_the_teacher_that_it_does_not_show() -> None:
    """Answers of the visit in which it was built; another question, another step or a teacher without a box: none."""
    ncq = group("ncq", [(False, "7")], [(1.0, "14"), (0.0, "15"), (0.0, "7"), (0.0, "")])
    ncq |= {"built_in_step": 3, "prompt_id": "q"}
    teacher = [{"reward": 1.0, "answer": " 14"}, {"reward": 0.0, "text": "\\boxed{15}"}, {"reward": 0.0, "answer": ""}]
    plain = group("plain", [], []) | {"built_in_step": 3, "prompt_id": "q", "teacher": {"responses": teacher}}
    assert shares(plain, ncq)[-1] == (2, 4)
    assert shares(plain, ncq | {"prompt_id": "p"})[-1] == shares(plain, ncq | {"built_in_step": 4})[-1] == (0, 0)
    plain["teacher"]["responses"] = teacher[2:]
    assert shares(plain, ncq)[-1] == (0, 0)


def test_other_groups_and_candidates_without_answer_say_nothing() -> None:
    assert shares(group("plain", [], [(1.0, "14")])) == [(0, 0)] * 6
    silent = group("bcq", [(True, "14"), (False, "")], [(0.0, "7"), (1.0, "14")])
    silent["candidates"][1]["text"] = "no box"
    assert shares(silent) == [(1, 2), (1, 1), (0, 0), (0, 0), (0, 0), (0, 0)]


def test_the_summary_counts_where_it_boxes_another_answer() -> None:
    """NCQ lists the response's answer beside it; BCQ shows the summary alone."""
    responses = [(0.0, "8"), (0.0, "7"), (0.0, "9")]
    for kind, share in (("ncq", (2, 3)), ("bcq", (1, 3))):
        changed = group(kind, [(False, "7")], responses)
        changed["candidates"][0]["text"] = "\\boxed{8}"
        assert shares(changed)[-2 if kind == "ncq" else 2] == share


def test_the_command(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert candidate_match.main([str(finished_run)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("finished · ZPPO\n")
    lines = [line for path in RunFolder(finished_run).rollout_files() for line in read_json_lines(path)]
    rewards = [r["reward"] for line in lines if line["kind"] == "bcq" for r in line["responses"]]
    assert rewards and f"{sum(rewards) / len(rewards):.1%} of {len(rewards):,}" in shown
    assert candidate_match.main([str(tmp_path)]) == 2
    assert "has no events.jsonl" in capsys.readouterr().err
    events = (finished_run / "events.jsonl").read_text().splitlines()
    first = next(line for line in events if line.startswith('{"type": "rolled_out"'))
    (tmp_path / "events.jsonl").write_text(first + "\n" + first[:99])
    assert candidate_match.main([str(tmp_path)]) == 0
    (tmp_path / "events.jsonl").write_text(first[:99])
    assert candidate_match.main([str(tmp_path)]) == 2
    assert "has no group that can be read" in capsys.readouterr().err


def test_events_say_what_the_texts_say(finished_run: Path) -> None:
    folder = RunFolder(finished_run)
    assert audit(folder.groups()).rows() == audit(folder.groups_with_texts()).rows()
