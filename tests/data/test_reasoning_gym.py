"""The converter of reasoning-gym's questions."""

import json
import math
import os
import subprocess
import sys
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe.zppo import prompts
from recipe.zppo.data.reasoning_gym import Task, TaskError, convert, draw_splits, main
from recipe.zppo.data.reasoning_gym_checks import accepts_own_answer
from recipe.zppo.data.reasoning_gym_reward import compute_score
from recipe.zppo.data.rows import SCHEMA
from recipe.zppo.data.worked_answers import SOLVERS, WorkedAnswerError, worked_answer

TASKS = [
    Task("chain_sum", {"min_digits": 1, "max_digits": 2}),
    Task("leg_counting", {"min_animals": 2, "max_animals": 3}),
    Task("word_sorting"),
]
FEW = [Task.parse("chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=1")]  # 200 questions in all
SIZES = {"train": 31, "val": 10}


def rows(file: Path) -> list[dict]:
    return pq.read_table(file).to_pylist()


def questions(file: Path) -> list[str]:
    return [row["prompt"][0]["content"] for row in rows(file)]


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """The message with which the command is refused: one line, exit status 2."""
    assert main([str(argument) for argument in arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("zppo: ") and message.count("\n") == 1
    return message


# ---- without reasoning-gym


def test_reasoning_gym_missing(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    message = refused(capsys, tmp_path / "out", "--task", "chain_sum")
    assert "reasoning-gym can't be imported" in message and "pip install 'open-zppo[recipes]'" in message
    assert not (tmp_path / "out").exists()


def test_settings_are_read_as_yaml() -> None:
    task = Task.parse("calendar_arithmetic:tasks=[is_leap_year, count_days],year=2024,x=true,y=0.5,z=word")
    settings = {"tasks": ["is_leap_year", "count_days"], "year": 2024, "x": True, "y": 0.5, "z": "word"}
    assert task == Task("calendar_arithmetic", settings)
    assert Task.parse("chain_sum") == Task("chain_sum")
    with pytest.raises(TaskError, match="'oops' is not key=value"):
        Task.parse("chain_sum:min_terms=2,oops")


def test_bad_arguments(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert "name at least one task" in refused(capsys, tmp_path)
    assert "has no worked answers" in refused(capsys, tmp_path, "--task", "word_sorting", "--sft", 4)
    assert "nothing.parquet does not exist" in refused(
        capsys, tmp_path, "--task", "chain_sum", "--exclude", tmp_path / "nothing.parquet"
    )


@given(st.lists(st.tuples(st.sampled_from("+-"), st.integers(-99, 99)), max_size=6), st.integers(-99, 99))
def test_a_sum_by_steps(rest: list[tuple[str, int]], first: int) -> None:
    expression = " ".join([str(first), *(f"{sign} {term}" for sign, term in rest)])
    total = first + sum(term if sign == "+" else -term for sign, term in rest)
    text = worked_answer("chain_sum", {"expression": expression}, str(total))
    assert len(equations(text)) == len(rest)
    assert text.endswith(f"\\boxed{{{total}}}")


@given(st.lists(st.integers(-999, 999), min_size=2, max_size=3))
def test_a_product_by_digits(factors: list[int]) -> None:
    total = math.prod(factors)
    text = worked_answer("products", {"expression": " * ".join(map(str, factors))}, str(total))
    assert text.endswith(f"\\boxed{{{total}}}")
    equations(text)


def equations(text: str) -> list[str]:
    """The steps of a worked answer, each of which holds."""
    steps = [step for step in text.split("<think>\n")[1].split("\n</think>")[0].splitlines() if step]
    operations = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
    for first, sign, second, equals, right in map(str.split, steps):
        assert equals == "=" and operations[sign](int(first), int(second)) == int(right)
    return steps


def test_a_worked_answer_that_is_wrong_is_refused() -> None:
    with pytest.raises(WorkedAnswerError, match="arrive at '3', the generator's answer is '4'"):
        worked_answer("chain_sum", {"expression": "1 + 2"}, "4")
    with pytest.raises(WorkedAnswerError, match="no worked answers for task sokoban"):
        worked_answer("sokoban", {}, "")


# ---- with it


def test_schema(reasoning_gym, tmp_path: Path) -> None:
    manifest = convert(tmp_path, TASKS, {**SIZES, "sft": 0}, seed=3)
    assert manifest["rows"]["train"] == {"chain_sum": 11, "leg_counting": 10, "word_sorting": 10}
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
    assert manifest["reasoning_gym"] == reasoning_gym.__version__
    assert manifest["reasoning_gym_package"] == version("reasoning-gym")
    assert pq.read_schema(tmp_path / "train.parquet").equals(SCHEMA)
    train = rows(tmp_path / "train.parquet")
    assert len({row["prompt_id"] for row in train + rows(tmp_path / "val.parquet")}) == 41
    assert [row["extra_info"]["index"] for row in train] == list(range(31))
    for row in train:
        assert [message["role"] for message in row["prompt"]] == ["user"]
        assert prompts.CLOSER.text not in row["prompt"][0]["content"]
        grader = json.loads(row["extra_info"]["metadata"])["grader"]
        assert grader == ("verifier" if row["data_source"] == "reasoning_gym/word_sorting" else "rule")
    assert not (tmp_path / "sft.parquet").exists()


def test_the_files_pass_the_checks_of_a_run(reasoning_gym, tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    from recipe.zppo.preflight.data_files import check_training_files, check_validation_files

    convert(tmp_path, TASKS, SIZES, seed=0)
    files = {f"{split}_files": str(tmp_path / f"{split}.parquet") for split in ("train", "val")}
    data = OmegaConf.create({**files, "prompt_key": "prompt"})
    assert check_training_files(data, "prompt_id", judge_route=None) == 31
    check_validation_files(data, judge_route=None)


def test_the_same_command_writes_the_same_bytes(reasoning_gym, tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        convert(tmp_path / name, TASKS, SIZES, seed)
    for file in ("train.parquet", "val.parquet", "manifest.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert not set(questions(tmp_path / "a" / "train.parquet")) & set(questions(tmp_path / "c" / "train.parquet"))


def test_the_hash_seed_of_the_command_plays_no_part(reasoning_gym, tmp_path: Path) -> None:
    """The generator iterates over a set of letters."""
    for seed in "12":
        command = [sys.executable, "-m", "recipe.zppo.data.reasoning_gym", tmp_path / seed, "--task", "ransom_note"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([*command, "--train", "9", "--val", "0"], env=environment, check=True, capture_output=True)
    assert (tmp_path / "1" / "train.parquet").read_bytes() == (tmp_path / "2" / "train.parquet").read_bytes()


def test_validation_does_not_depend_on_the_size_of_training(reasoning_gym, tmp_path: Path) -> None:
    convert(tmp_path / "a", TASKS, {"train": 9, "val": 9}, 0)
    convert(tmp_path / "b", TASKS, {"train": 90, "val": 9}, 0)
    assert rows(tmp_path / "a" / "val.parquet") == rows(tmp_path / "b" / "val.parquet")


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**40))
def test_no_question_occurs_twice(seed: int) -> None:
    pytest.importorskip("reasoning_gym")
    splits, _ = draw_splits(FEW, {"train": 60, "val": 40, "sft": 60}, seed)
    drawn = [entry.question for entries in splits.values() for entry in entries]
    assert len(set(drawn)) == len(drawn) == 160


def test_excluded_files(reasoning_gym, tmp_path: Path) -> None:
    convert(tmp_path / "a", FEW, {"train": 50, "val": 50}, 0)
    files = [tmp_path / "a" / "train.parquet", tmp_path / "a" / "val.parquet"]
    convert(tmp_path / "b", FEW, {"sft": 60}, 1, exclude=files)
    seen = {question for file in files for question in questions(file)}
    assert not seen & set(questions(tmp_path / "b" / "sft.parquet"))


def test_too_few_questions(reasoning_gym, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    task = "chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=1"
    message = refused(capsys, tmp_path / "out", "--task", task, "--train", 500, "--val", 0)
    assert "chain_sum: 500 questions are asked for, but after 200 none of" in message
    assert not (tmp_path / "out").exists()


def test_unknown_task_or_setting(reasoning_gym, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert "has no task 'chain_sums'; it has ab, acre" in refused(capsys, tmp_path, "--task", "chain_sums")
    message = refused(capsys, tmp_path, "--task", "chain_sum:terms=3")
    assert "chain_sum has no setting 'terms'; it has allow_negation, max_digits" in message
    message = refused(capsys, tmp_path, "--task", "chain_sum:min_terms=9")
    assert "reasoning-gym refuses {'min_terms': 9}: max_terms must be >= min_terms" in message


def test_a_task_whose_grader_takes_wrong_answers_is_refused(reasoning_gym, tmp_path: Path, capsys) -> None:
    message = refused(capsys, tmp_path / "out", "--task", "chain_sum", "--task", "game_of_life_halting")
    reason = "its verifier accepts 'zzz' as the answer to every question"
    assert message == f"zppo: task game_of_life_halting can't be trained on: {reason}\n"
    assert not (tmp_path / "out").exists()


def test_rows_carry_the_settings_of_their_verifier(reasoning_gym, tmp_path: Path) -> None:
    """With six decimals an error of 0.0005 is wrong; by the task's default of three it would be within tolerance."""
    convert(tmp_path, [Task.parse("decimal_arithmetic:min_num_decimal_places=6,max_num_decimal_places=6")], SIZES, 0)
    for row in rows(tmp_path / "val.parquet"):
        gold = row["reward_model"]["ground_truth"]
        for error, right in (("0", 1), ("0.0000005", 1), ("0.0005", 0)):
            response = f"\\boxed{{{Decimal(gold) + Decimal(error)}}}"
            assert compute_score(row["data_source"], response, gold, row["extra_info"])["score"] == right


@pytest.mark.parametrize("name", SOLVERS)
def test_worked_answers_are_right_by_reasoning_gyms_own_verifier(reasoning_gym, name: str, tmp_path: Path) -> None:
    convert(tmp_path, [Task(name)], {"sft": 100}, 0)
    verifier = reasoning_gym.get_score_answer_fn(name)
    for row in rows(tmp_path / "sft.parquet"):
        question, response = row["messages"]
        assert question["content"] == f"{row['prompt'][0]['content']}\n\n{prompts.CLOSER.text}"
        gold = row["reward_model"]["ground_truth"]
        assert compute_score(row["data_source"], response["content"], gold, row["extra_info"])["score"] == 1
        boxed = response["content"].rsplit("\\boxed{", 1)[1].removesuffix("}")
        assert verifier(boxed, {"answer": gold, "question": "", "metadata": {}}) == 1.0
        think, _, steps = response["content"].partition("\n")
        assert think == "<think>" and steps.split("\n</think>")[0].strip()


def test_ungradable_questions_are_left_out_and_counted(reasoning_gym) -> None:
    """Some of this task's answers are longer than the reward reads."""
    splits, dropped = draw_splits([Task("palindrome_partitioning")], {"train": 20}, 0)
    assert len(splits["train"]) == 20 and dropped["palindrome_partitioning"] > 0
    assert all(accepts_own_answer(entry) for entry in splits["train"])
