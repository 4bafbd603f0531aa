"""A reward function of the user's is tried on two answers before anything is started for it."""

from pathlib import Path

import pytest

from recipe.zppo.preflight import reward_function
from tests.runnable import Run, row, write_rows

KEY = "reward.custom_reward_function"

RIGHT = [
    "def mine(data_source, solution_str, ground_truth, extra_info=None): return float(ground_truth in solution_str)",
    "def mine(solution_str, ground_truth, **_): return {'score': ground_truth in solution_str, 'acc': 1}",
    "async def mine(solution_str, ground_truth, **_): return int(ground_truth in solution_str)",
    "def mine(solution_str, ground_truth, strict, **_): return int(strict)",
    "import numpy\ndef mine(**_): return numpy.float32(1)",
    "import numpy\ndef mine(**_): return {'score': numpy.bool_(False), 'parts': numpy.zeros(3)}",
    "print('hello')\ndef mine(**_):\n    print('there')\n    return 0",
]
WRONG = [
    (
        "import no_such_module_at_all",
        "path: {file} can't be imported: ModuleNotFoundError: No module named 'no_such…', line 1",
    ),
    ("def mine(:", "path: {file} can't be imported: SyntaxError: …, line 1"),
    ("def other(): pass\ndef third(): pass", "name: {file} has no function mine; it has other, third"),
    ("x = 1", "name: {file} has no function mine; it has none"),
    ("def mine(text): return 1", "path: mine fails on row 0 for the answer …: TypeError: …"),
    ("def mine(**_):\n    return {}['unit']", "path: mine fails on row 0 for the answer …: KeyError: 'unit', line 2"),
    (
        "def mine(**_): return 0.5",
        "path: mine gives 0.5 for row 0; a reward is exactly 0 or 1 (zppo.reward.binarize='>=0.5' makes points such a "
        "reward); docs/guides/reward.md …",
    ),
    ("import numpy\ndef mine(**_): return numpy.float32(0.5)", "path: mine gives 0.5 for row 0; …"),
    ("import numpy\ndef mine(**_): return numpy.zeros(3)", "path: mine gives 'array([0., 0., 0.])' for row 0; …"),
    ("def mine(**_): return None", "path: mine gives None for row 0; …"),
    ("def mine(**_): return {'reward': 1}", "path: mine gives a dictionary without 'score' (reward); …"),
    ("import os\nos._exit(3)", "path: its process ended with status 3: nothing was said"),
]


@pytest.fixture
def own(run: Run, tmp_path: Path):
    file = tmp_path / "mine.py"

    def settings(code: str) -> list[str]:
        file.write_text(code)
        return [
            f"{KEY}.path={file}",
            f"{KEY}.name=mine",
            f"+{KEY}.reward_kwargs={{strict: 1}}" if "strict" in code else "",
        ]

    return lambda code: [setting for setting in settings(code) if setting]


@pytest.mark.parametrize("code", RIGHT)
def test_what_gives_0_or_1_passes(run: Run, own, code: str) -> None:
    run.check(*own(code))


def test_points_pass_with_a_threshold(run: Run, own) -> None:
    run.check(*own("def mine(**_): return {'score': 0.5}"), "zppo.reward.binarize='>0.5'")
    said = run.refused(*own("def mine(**_): return 'much'"), "zppo.reward.binarize='>0.5'")
    assert said.startswith(f"{KEY}.path: mine gives 'much' for row 0; a reward is exactly 0 or 1; docs")


@pytest.mark.parametrize(("code", "message"), WRONG)
def test_what_can_not_work_is_named_with_its_line(run: Run, own, code: str, message: str, tmp_path: Path) -> None:
    import re

    said = run.refused(*own(code))
    expected = f"{KEY}.{message.format(file=tmp_path / 'mine.py')}"
    assert re.fullmatch(".*".join(map(re.escape, expected.split("…"))), said), said


def test_one_that_takes_long_is_said_and_not_checked(run: Run, own, monkeypatch, capsys) -> None:
    monkeypatch.setattr(reward_function, "LIMIT_S", 0.2)
    run.check(*own("import time\ntime.sleep(5)"))
    assert f"zppo: {KEY}: no answer within 0 s, so what it gives was not checked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gold", "refused"),
    [
        ("She sold 48 / 2 = 24.\n#### 72", True),
        (r"We have $x = 2$, so the answer is $\boxed{\frac{1}{2}}$.", True),
        ("72", False),
        (r"\boxed{72}", False),
        ("####", False),
    ],
)
def test_a_whole_solution_is_no_gold_answer(run: Run, gold: str, refused: bool) -> None:
    golds = ["1"] * 9 + [gold] * 7
    write_rows(run.data, [row(i, reward_model={"style": "rule", "ground_truth": gold}) for i, gold in enumerate(golds)])
    if not refused:
        run.check()
        return
    said = run.refused()
    assert said.startswith(
        f"data.val_files: {run.data} row 9 has no final answer (reward_model.ground_truth is a whole "
    )
    assert said.endswith("takes the final answer out); 7 such row(s) in all")
    sound = write_rows(run.folder / "sound.parquet", [row(0)])
    assert run.refused(f"data.val_files={sound}") == said.replace("val_files", "train_files")
    judge = ("zppo.judge.enable=true", "zppo.judge.route=")
    assert run.refused(judge[0], f"{judge[1]}free_form") == said
    run.check(judge[0], f"{judge[1]}unresolved", "zppo.judge.validation_route=unresolved")
