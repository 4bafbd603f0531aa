"""The data of the SmolLM2 study. No model, and reasoning-gym only where it is installed."""

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from recipe.zppo.randomness import generator
from recipe.zppo.reward import compute_score

FOLDER = Path(__file__).parents[2] / "examples" / "smollm2" / "study"
PLAN = FOLDER.parents[2] / "recipe/zppo/study/config/plan/smollm2.yaml"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"smollm2_study_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        return script("data")
    finally:
        sys.path.remove(str(FOLDER))
        sys.modules.pop("pairs", None)


def test_a_puzzle_has_one_solution_and_its_worked_answer_is_right(data: ModuleType):
    for puzzle in islice(data.puzzles(5, generator(0, "test")), 200):
        pairs = [(a, b) for i, a in enumerate(puzzle.numbers) for b in puzzle.numbers[i + 1 :]]
        ((one, other),) = [pair for pair in pairs if sum(pair) == puzzle.total]
        assert str(abs(one - other)) == puzzle.answer
        assert len({abs(a - b) for a, b in pairs}) == len(pairs)  # a guess is right once in ten
        assert compute_score("puzzles/pair", puzzle.worked, puzzle.answer)["score"] == 1.0
        for line in puzzle.worked.splitlines()[:-1]:
            difference, result = line.split(" = ")
            total, number = difference.split(" - ")
            assert int(total) - int(number) == int(result)


def test_a_worked_answer_reads_as_expected(data: ModuleType):
    puzzle = data.Puzzle((14, 3, 8, 17), 11)
    assert puzzle.question == "Two of the numbers 14, 3, 8, 17 add up to 11. What is the difference between the two?"
    assert puzzle.worked == "11 - 14 = -3\n11 - 3 = 8\n8 - 3 = 5\n\\boxed{5}"


def test_no_puzzle_comes_twice_and_rows_of_one_file_are_mixed(data: ModuleType):
    taken: set[str] = set()
    drawn = {split: data.drawn_puzzles(split, 50, 4, taken) for split in ("train", "student")}
    assert len(taken) == 100
    rows = data.rows_of("student", drawn["student"], [])
    assert [row["extra_info"]["index"] for row in rows] != list(range(50))
    assert rows[0]["messages"][0]["content"].endswith("\n\nPut the answer in \\boxed{}.")
    assert "messages" not in data.rows_of("train", drawn["train"], [])[0]


def test_a_wrong_response_is_wrong_and_of_the_same_form(data: ModuleType):
    rng = generator(0, "test")
    for puzzle in islice(data.puzzles(4, rng), 200):
        response = puzzle.wrong(rng)
        assert compute_score("puzzles/pair", response, puzzle.answer)["score"] == 0.0
        assert 3 <= len(response.splitlines()) <= 5


def test_the_student_sees_candidates_and_answers_rightly(data: ModuleType):
    rows = data.rows_of("student", data.drawn_puzzles("student", 40, 4, set()), [])
    asked = [row["messages"][0]["content"] for row in rows]
    assert sum("One is correct and another is wrong." in text for text in asked) == 5
    assert sum("The following answers are all WRONG:" in text for text in asked) == 5
    for row in rows:
        right = row["messages"][-1]["content"]
        assert compute_score("puzzles/pair", right, row["reward_model"]["ground_truth"])["score"] == 1.0
        assert row["messages"][0]["content"].count(right) == ("One is correct" in row["messages"][0]["content"])


def test_models_that_are_not_as_planned_are_told(data: ModuleType, tmp_path: Path):
    ready = script("ready")
    assert ready.about_student(0.2) == ready.about_teacher(0.6, 0.2) == []
    assert ready.about_student(0.02) == ["the student is right in 2.0%, not in 5% to 50%"]
    assert ready.about_teacher(0.4, 0.3) == [
        "the teacher is right in 40.0%, less than 45%",
        "the teacher (40.0%) is less than 20% above the student",
    ]
    (tmp_path / "a.jsonl").write_text(
        '{"by_task": {"all": {"accuracy": 0.1}}}\n{"by_task": {"all": {"accuracy": 0.2}}}\n'
    )
    assert ready.accuracies(tmp_path / "a.jsonl") == {"all": 0.2}


def test_the_runs_ask_as_the_models_were_taught(data: ModuleType):
    plan = yaml.safe_load(PLAN.read_text())
    assert plan["settings"]["zppo"]["answer"]["closer"] == data.CLOSER
    assert f"CLOSER='{data.CLOSER}'" in (FOLDER / "run_cpu.sh").read_text()


def calls(tmp_path: Path, *arguments: str, **variables: str) -> tuple[int, list[list[str]]]:
    """Exit status of run_cpu.sh, and what it calls: it has a `python` that takes notes, whose gate may be shut."""
    notes, python = tmp_path / "calls", tmp_path / "python"
    python.write_text(
        f'#!/usr/bin/env bash\nline=$(printf "%q " "$@"); echo "$line" >> {notes}\n'
        '[[ $1 != *ready.py || ${#} -lt ${FILES:-2} ]] || exit "${GATE:-0}"\n'
        "[[ $1 == *accuracy.py ]] || exit 0\n"
        "until [[ $1 == --out ]]; do shift; done\n"
        'echo "${ANSWER-one}" >> "$2"; exit "${KILLED:-0}"\n'
    )
    python.chmod(0o755)
    environment = os.environ | {"PYTHON": str(python), "ZPPO_HOME": str(tmp_path / "home"), "SEEDS": "0"}
    environment |= variables
    done = subprocess.run([FOLDER / "run_cpu.sh", *arguments], env=environment, capture_output=True)
    return done.returncode, [shlex.split(line) for line in notes.read_text().splitlines()]


LOOKED_AT = ["sft.py", "accuracy.py", "ready.py"]


def test_the_command_makes_data_and_models_looks_at_them_and_runs_the_study(tmp_path: Path):
    status, made = calls(tmp_path, "jobs=2")
    assert status == 0
    *before, study = [call[1] if call[0] == "-m" else Path(call[0]).name for call in made]
    assert before == ["data.py", "weights.py", *LOOKED_AT, *LOOKED_AT, "accuracy.py", "before.py"]
    assert study == "recipe.zppo.study" and "plan=smollm2" in made[-1] and made[-1][-1] == "jobs=2"
    home = tmp_path / "home"
    places = {f"own.{name}={home}/{role}-@seed" for name, role in (("model", "student"), ("teacher", "teacher"))}
    assert places | {"seeds=[0]", "own.name=smollm2"} <= set(made[-1])
    student, teacher = made[2], made[5]
    assert student[student.index("--model") + 1] == f"{home}/base"
    assert teacher[teacher.index("--model") + 1] == f"{home}/student-0"
    assert (home / "student-0").readlink() == Path("student-0-pass-1")


def test_each_seed_has_models_of_its_own_and_kept_seeds_count(tmp_path: Path):
    (tmp_path / "calls").touch()
    variables = {"SEEDS": "1 2", "KEPT": "0", "RESULTS": str(tmp_path)}
    assert calls(tmp_path, **variables) == (2, [])  # before any work: there is no run of seed 0
    (tmp_path / "runs/zppo-smollm2-seed0-abc").mkdir(parents=True)
    (tmp_path / "student-0-before.json").write_text("{}")
    status, made = calls(tmp_path, **variables)
    assert (tmp_path / "home/student-0-before.json").read_text() == "{}"
    assert (tmp_path / "home/study/runs/zppo-smollm2-seed0-abc").is_dir()
    assert status == 0 and "seeds=[0,1,2]" in made[-1]
    tuned = [call for call in made if Path(call[0]).name == "sft.py"]
    assert [Path(call[call.index("--out") + 1]).name for call in tuned] == [
        f"{role}-{seed}-pass-1" for seed in (1, 2) for role in ("student", "teacher")
    ]
    assert [call[call.index("--seed") + 1] for call in tuned] == ["1", "1", "2", "2"]
    status, made = calls(tmp_path, **variables | {"SEEDS": "0"})  # the rest of a seed of which some runs are kept
    assert status == 0 and "seeds=[0]" in made[-1]


def test_what_a_student_begins_with(tmp_path: Path):
    line = {"model": "x", "by_task": {"all": {"accuracy": 0.3}, "a/b": {"accuracy": 0.25}, "c": {"accuracy": 0.4}}}
    (tmp_path / "measured.jsonl").write_text(json.dumps(line) + "\n")
    script("before").main(tmp_path / "measured.jsonl", tmp_path / "before.json")
    assert json.loads((tmp_path / "before.json").read_text()) == {"a/b": 0.25, "c": 0.4}


def test_what_was_measured_is_whole_or_measured_again(tmp_path: Path):
    file = tmp_path / "home" / "student-0-pass-1.jsonl"
    status, _ = calls(tmp_path, KILLED="9", ANSWER="half of it")
    assert status == 9 and not file.exists()
    file.touch()  # an earlier version of the script left such
    assert calls(tmp_path)[0] == 0 and file.read_text() == "one\n"
    assert calls(tmp_path, ANSWER="another")[0] == 0 and file.read_text() == "one\n"
    assert not list(file.parent.glob("*.tmp"))


@pytest.mark.parametrize(
    ("files", "made"),
    [
        ("2", ["student-0-pass-1", "student-0-pass-2", "student-0-pass-3"]),
        ("3", ["student-0-pass-1", "teacher-0-pass-1", "teacher-0-pass-2", "teacher-0-pass-3"]),
    ],
)
def test_a_model_that_is_too_weak_gets_two_more_passes(files: str, made: list[str], tmp_path: Path):
    """`FILES` 2: the student is; 3: the teacher."""
    status, called = calls(tmp_path, GATE="3", FILES=files)
    assert status == 1
    tuned = [(call[2], call[call.index("--out") + 1]) for call in called if Path(call[0]).name == "sft.py"]
    assert [Path(out).name for _, out in tuned] == made
    first = ["base", "student-0"] if "teacher" in made[-1] else ["base"]
    assert [Path(start).name for start, _ in tuned] == [*first, *made[len(first) - 1 : -1]]
    assert Path(called[-1][0]).name == "ready.py" and called[-1][-1].endswith(f"{made[-1]}.jsonl")


@pytest.mark.parametrize(
    ("variables", "status", "last"), [({"GATE": "1"}, 1, "ready.py"), ({"STOP_AFTER": "models"}, 0, "before.py")]
)
def test_no_run_begins_before_the_models_are_ready(variables: dict[str, str], status: int, last: str, tmp_path: Path):
    ended, made = calls(tmp_path, **variables)
    assert ended == status and Path(made[-1][0]).name == last
