import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from recipe.zppo.run.status import StatusFile
from recipe.zppo.view import summary
from tests.event_lines import measured


def run(capsys: pytest.CaptureFixture, *arguments: str) -> tuple[int, str, str]:
    status = summary.main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def groups_of(run: Path) -> list[dict]:
    return [json.loads(line) for path in (run / "rollouts").iterdir() for line in path.read_text().splitlines()]


def test_a_finished_run_in_words(finished_run: Path, capsys):
    status, out, _ = run(capsys, str(finished_run))
    assert status == 0
    assert "finished: 12 of 12 steps" in out
    assert "price_list, 256 questions" in out
    assert "before training   20.3% ± 2.5%" in out
    assert "after step 12     82.0% ± 2.4%" in out
    assert "+61.7 points, more than noise (14.0 standard errors)" in out
    assert "4.05 s a step: generation 2.20, log-probs 0.40, update 1.20, other 0.25" in out
    assert "90.0% of it hidden" in out
    assert f"{finished_run}/global_step_12\n" in out
    assert f"{finished_run}/rollouts\n" in out
    assert "TensorBoard" not in out, "there is none"
    assert "FAILED" not in out


def test_counts_agree_with_the_rollouts(finished_run: Path, capsys):
    """The summary reads metrics; the rollout files tell the same by another way."""
    _, out, _ = run(capsys, str(finished_run), "--json")
    numbers = json.loads(out)
    assert numbers["method"] == "ZPPO"
    groups = groups_of(finished_run)
    for kind in ("bcq", "ncq"):
        mine = [group for group in groups if group["kind"] == kind]
        assert numbers[kind]["groups"] == len(mine) > 0
        assert numbers[kind]["solved"] == sum(any(r["reward"] for r in group["responses"]) for group in mine)
        assert numbers[kind]["accuracy"] == pytest.approx(sum(group["accuracy"] for group in mine) / len(mine))
    tokens = sum(response["num_tokens"] for group in groups for response in group["responses"])
    assert numbers["student_tokens"] == tokens
    fate = numbers["buffer"]
    assert fate["admitted"] == fate["graduated"] + fate["evicted"] + fate["inside"]
    by_entry = Counter()
    for entry in numbers["buffer_by_entry_accuracy"].values():
        by_entry.update({name: entry[name] for name in ("admitted", "graduated", "evicted", "inside")})
    assert all(fate[name] == by_entry[name] for name in by_entry)
    assert numbers["held_out"][0]["more_than_noise"] is True
    assert numbers["places"]["metrics"] == str(finished_run / "metrics.jsonl")


def words_of(out: str) -> str:
    """What is shown, without the paths."""
    return out[: out.index("Where things lie")].lower()


def test_the_forms_of_candidates_agree_with_the_rollouts(finished_run: Path, tmp_path: Path, capsys):
    groups = groups_of(finished_run)
    forms = [group["form"] for group in groups if group["kind"] == "bcq"]
    assert forms and set(forms) == {"summary"} and not any("form" in each for each in groups if each["kind"] == "plain")
    _, shown, _ = run(capsys, str(finished_run))
    assert f"candidates: {len(forms)} of two summaries (python -m recipe.zppo.cue_audit" in shown
    assert "dropped: 1 with one summary and one response's own words" in shown
    assert "24 summaries asked for again" in shown
    row = {"step": 1, "zppo/bcq/count": 3, "zppo/bcq/accuracy": 0.5, "zppo/bcq/form_raw": 2, "zppo/bcq/form_mixed": 1}
    (tmp_path / "events.jsonl").write_text(measured([row | {"zppo/bcq/mixed_fell_back": 2}]))
    _, shown, _ = run(capsys, str(tmp_path))
    assert "candidates: 2 of two responses' own words, 1 of one of each (" in shown
    assert "own words of both instead of one summary: 2" in shown


def test_a_run_is_told_only_what_it_has(finished_run, hint_run, prefix_run, distilled_run, capsys):
    """Words of the kinds and extensions, over all runs: each where it belongs and nowhere else."""
    runs = {"zppo": finished_run, "hint": hint_run, "prefix": prefix_run, "distilled": distilled_run}
    words = {
        "bcq (": {"zppo"},
        "ncq (": {"zppo", "hint"},
        "hint": {"hint"},
        "prefix": {"prefix"},
        "teacher 1": {"hint"},
        "left out": {"hint"},
        "divergence": {"distilled"},
    }
    shown = {name: words_of(run(capsys, str(folder))[1]) for name, folder in runs.items()}
    assert {word: {name for name, text in shown.items() if word in text} for word in words} == words


@pytest.mark.parametrize("kind", ["hint", "prefix"])
def test_groups_with_hint_or_prefix_agree_with_the_rollouts(request, kind: str, capsys):
    folder = request.getfixturevalue(f"{kind}_run")
    mine = [group for group in groups_of(folder) if group["kind"] == kind]
    solved = sum(any(r["reward"] for r in group["responses"]) for group in mine)
    accuracy = sum(group["accuracy"] for group in mine) / len(mine)
    _, out, _ = run(capsys, str(folder))
    text = f"{len(mine)} built, {solved} of {len(mine)} ({solved / len(mine):.1%}) solved by at least one answer, "
    assert f"{text}{accuracy:.1%} of all answers right" in next(
        line for line in out.splitlines() if f"  {kind} (" in line
    )
    numbers = json.loads(run(capsys, str(folder), "--json")[1])
    assert numbers[kind]["groups"] == len(mine) > 0
    assert numbers[{"hint": "prefix", "prefix": "hint"}[kind]] is None


def test_hints_teachers_and_dynamic_sampling_in_words(hint_run: Path, capsys):
    _, out, _ = run(capsys, str(hint_run))
    assert "  lost: 0 too long for the context, 1 without hint or answers\n" in out
    assert "  dropped: 12 that gave the answer away\n" in out
    assert "  teacher 0: asked 108, solved 60 of 108 (55.6%)\n" in out
    assert "  teacher 1: asked 48, solved 12 of 48 (25.0%)\n" in out
    groups = groups_of(hint_run)
    trivial = sum(len({response["reward"] for response in group["responses"]}) == 1 for group in groups)
    assert (
        f"  {trivial} of {len(groups)} ({trivial / len(groups):.1%}) groups: all answers right, or all wrong\n" in out
    )


def test_distillation_in_words(distilled_run: Path, capsys):
    _, out, _ = run(capsys, str(distilled_run))
    sequences = sum(len(group["responses"]) for group in groups_of(distilled_run) if group["kind"] == "teacher")
    assert f"  {sequences} right responses of the teacher learned from\n" in out and sequences > 0
    assert "  divergence from the teacher 0.5 nats a token at the start, 0.04167 at the end" in out
    assert " hard questions, solved" not in out and " questions, solved" in out


def test_a_killed_run_whose_teacher_died(broken_run: Path, tmp_path: Path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(broken_run, folder)
    with open(folder / "events.jsonl", "a") as file:
        file.write('{"type": "measured", "step": 8, "metrics": {"zppo/accu')
    content = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(content | {"pid": 2**22 + 1}))
    status, out, _ = run(capsys, str(folder))
    assert status == 0
    assert "stopped: 7 of 40 steps, last seen in stage 'update'" in out
    assert "measured once so far" in out
    assert "FAILED: " in out and "last cause: connection refused by server 0" in out
    assert "checkpoint" not in out


def test_a_run_under_way(broken_run: Path, tmp_path: Path):
    folder = tmp_path / "run"
    shutil.copytree(broken_run, folder)
    StatusFile(str(folder / "status.json")).write(8, "generate")  # names this process, which is alive
    assert summary.Summary.of(summary.RunFolder(folder)).state == "under way"
    content = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(content | {"since": 1.0}))
    assert summary.Summary.of(summary.RunFolder(folder)).state == "stopped", "the number is another process's by now"


def test_doubtful_rewards_in_words(finished_run: Path, tmp_path: Path, capsys):
    _, out, _ = run(capsys, str(finished_run))
    assert "Doubtful" not in out and json.loads(run(capsys, str(finished_run), "--json")[1])["doubtful"] is None
    folder = shutil.copytree(finished_run, tmp_path / "run")
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    rows = [event for event in events if event["type"] == "measured"]
    rows[-1]["metrics"]["zppo/reward/doubtful"], rows[-2]["metrics"]["zppo/reward/doubtful"] = 9.0, 3.0
    last = [event for event in events if event["type"] == "rolled_out" and event["step"] == rows[-1]["step"]]
    for i, group in enumerate(last[:10]):
        text = f"{i}\x1b[31m\n" + "x" * 1000
        group["responses"] = [group["responses"][0] | {"doubtful": True, "answer": text, "reward": float(i % 2)}] * 2
    (folder / "events.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    _, out, _ = run(capsys, str(folder))
    _, count, *examples = out[out.index("Doubtful") : out.index("Time and tokens")].strip().splitlines()
    assert count == "  12 would have been the other one by zppo.reward.grader=careful, such as"
    assert len(examples) == 6 and all(len(line) < 120 and "\x1b" not in line for line in examples)
    assert "'0 [31m xxx" in examples[0] and examples[0].endswith("...' was wrong, for '1'")
    assert examples[1].endswith("...' was right, for '1'")
    told = json.loads(run(capsys, str(folder), "--json")[1])["doubtful"]
    assert told["count"] == 12 and [each["careful"] for each in told["examples"]] == [True, False] * 3


def test_the_judge_in_words(finished_run: Path, tmp_path: Path, capsys):
    _, out, _ = run(capsys, str(finished_run))
    assert "Judge" not in out
    folder = tmp_path / "judged"
    folder.mkdir()
    names = ("verdicts", "correct", "wrong", "malformed", "failed", "free_form", "unresolved")
    steps = [(10, 4, 5, 1, 0, 10, 0), (30, 16, 10, 4, 2, 27, 3)]
    rows = [
        {"step": step, "zppo/tokens/judge": 600.0}
        | {f"zppo/judge/{name}": float(n) for name, n in zip(names, counts, strict=True)}
        for step, counts in enumerate(steps, 1)
    ]
    (folder / "events.jsonl").write_text(measured(rows))
    _, out, _ = run(capsys, str(folder))
    assert "40 verdicts, 1,200 tokens; 20 of 40 (50.0%) correct" in out
    assert "3 of 40 (7.5%) on what the reward function left open" in out
    assert "5 of 40 (12.5%) malformed, which counts as wrong" in out
    assert "FAILED: 2 responses got no verdict" in out
    (folder / "events.jsonl").write_text(measured([{"step": 1, "zppo/judge/verdicts": 0.0}]))
    assert "no free-form answer came up" in run(capsys, str(folder))[1]


@pytest.mark.parametrize("row", [{"step": 0}, {"step": 3, "zppo/bcq/count": 2}, {"step": 1, "timing_s/step": 1}])
def test_missing_keys_are_no_error(tmp_path: Path, capsys, row: dict):
    (tmp_path / "events.jsonl").write_text(measured([row]))
    (tmp_path / "status.json").write_text('{"stage": 7, "pid": "x", "total_steps": [], "since": null}')
    for arguments in ([], ["--json"]):
        status, out, err = run(capsys, str(tmp_path), *arguments)
        assert (status, err) == (0, "") and out


def test_a_path_is_printed_whole_on_a_narrow_terminal(finished_run: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    folder = tmp_path / "a[bold]b" / ("x" * 60)
    folder.mkdir(parents=True)
    shutil.copy(finished_run / "events.jsonl", folder)
    _, out, _ = run(capsys, str(folder))
    assert f"{folder}{os.sep}events.jsonl" in out


@pytest.mark.parametrize("name, reason", [("", "has no events.jsonl"), ("missing", "is not a folder")])
def test_nothing_to_summarise_is_one_line(tmp_path: Path, capsys, name: str, reason: str):
    status, out, err = run(capsys, str(tmp_path / name))
    assert status == 2 and out == ""
    assert err.startswith("zppo: ") and reason in err and err.count("\n") == 1
