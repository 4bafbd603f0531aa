"""The method of docs/method/add-your-own.md, from the command line to the update, on the local back end."""

import json
import re

import pandas as pd
import pytest

from recipe.zppo.local.__main__ import main
from recipe.zppo.world.bills import PriceList, response
from recipe.zppo.world.build import build_world
from recipe.zppo.world.settings import WorldSettings
from tests.examples.conftest import ROOT
from tests.local.conftest import overrides, read_metrics

PAGE = (ROOT / "docs" / "method" / "add-your-own.md").read_text()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two steps on the embedded world, of whose rows three in four say how they are solved."""
    world, folder = build_world(), tmp_path_factory.mktemp("worked")
    prices = PriceList.draw(WorldSettings()).prices
    rows = pd.read_parquet(world.train_file)
    bills = [prompt_id.split("-")[2:] for prompt_id in rows["prompt_id"]]
    rows["extra_info"] = [
        info | {"solution": response(bill, prices) if i % 4 else None}
        for i, (info, bill) in enumerate(zip(rows["extra_info"], bills, strict=True))
    ]
    rows.to_parquet(folder / "train.parquet")
    changes = ("method=worked_solution", f"data.train_files={folder}/train.parquet", "zppo.teacher.path=null")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # Hydra writes its own files into the working directory
        patch.setattr("sys.argv", ["local", *overrides(world, folder / "run", *changes)])
        assert main() == 0
    groups = [json.loads(line) for path in sorted((folder / "run/rollouts").iterdir()) for line in path.open()]
    return rows.set_index("prompt_id"), groups, read_metrics(folder / "run")


def test_it_shows_the_rows_solution_beside_a_wrong_answer(run) -> None:
    rows, groups, _ = run
    worked = [group for group in groups if group["kind"] == "worked"]
    assert worked and {group["kind"] for group in groups} == {"plain", "worked"}
    for group in worked:
        solution = rows.loc[group["prompt_id"], "extra_info"]["solution"]
        assert solution  # a row without one gets no such group
        (right,), (wrong,) = ([c for c in group["candidates"] if c["correct"] is side] for side in (True, False))
        gold = rows.loc[group["prompt_id"], "reward_model"]["ground_truth"]
        assert (right["source"], wrong["source"]) == ("data", "student")
        assert f"\\boxed{{{gold}}}" in right["text"] and f"\\boxed{{{gold}}}" not in wrong["text"]


def test_it_trains_without_a_teacher_and_is_counted(run) -> None:
    _, groups, metrics = run
    for step in (1, 2):
        count = sum(group["kind"] == "worked" and group["uid"].startswith(f"{step}.") for group in groups)
        assert metrics[step]["zppo/worked/count"] == count
        assert metrics[step]["zppo/teacher/asked"] == metrics[step]["zppo/tokens/teacher"] == 0
        assert (metrics[step]["zppo/batch/worked_share"] > 0) == (count > 0)


def test_the_page_shows_the_code_as_it_is() -> None:
    blocks = re.findall(r"```(?:python|yaml) title=\"([^\"]+)\"\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 5
    for name, block in blocks:
        source = (ROOT / name).read_text()
        for line in block.strip().splitlines():
            assert line.strip() in source, f"{name}: {line}"
