"""Tables of results that are partial, missing or of one seed."""

import csv
import io

import pytest

from recipe.zppo.study.comparison import RowResult
from recipe.zppo.study.tables import markdown, runs_csv, table_csv

GRPO = RowResult(
    "firm",
    "grpo_replay",
    "GRPO†",
    {
        0: {"accuracy": 0.40, "graduation_rate": 0.10, "train_seconds": 40.0},
        1: {"accuracy": 0.60, "graduation_rate": 0.20, "train_seconds": 44.0},
    },
    steps=40,
)
ZPPO = RowResult(
    "firm",
    "zppo",
    "ZPPO",
    {0: {"accuracy": 0.70, "graduation_rate": 0.30, "train_seconds": 80.0}, 2: {"accuracy": 0.5}},
    {1: "failed: no | space"},
    steps=40,
)
PLAIN = RowResult("firm", "grpo", "GRPO", {0: {"accuracy": 0.45}}, steps=40)
RESULTS = {"firm": [PLAIN, GRPO, ZPPO]}


def lines(text: str, label: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.split(" | ")] for line in text.splitlines() if line.startswith(f"| {label} |")
    ]


def test_means_with_interval_and_how_many_seeds_they_rest_on():
    text = markdown(RESULTS, "grpo_replay", [])
    # 0.1 is the half-spread: 12.706 * 0.1414 / sqrt(2)
    assert lines(text, "GRPO†")[0][:4] == ["| GRPO†", "2", "40", "50.0% ± 127.1"]
    assert lines(text, "ZPPO")[0][:6] == ["| ZPPO", "2 of 3", "40", "60.0% ± 127.1", "–", "30.0% (n=1)"]
    assert lines(text, "GRPO")[0][3:6] == ["45.0% (n=1)", "–", "–"]


def test_differences_pair_the_seeds_that_both_have():
    _, difference = lines(markdown(RESULTS, "grpo_replay", []), "ZPPO")
    assert difference[1] == "1"  # seed 0; seeds 1 and 2 have no partner
    assert difference[2] == "+30.0 pp (n=1)"
    assert difference[-1].rstrip(" |") == "3.00"


def test_a_missing_seed_is_named_with_its_reason():
    assert "Missing:\n- ZPPO, seed 1: failed: no | space" in markdown(RESULTS, "grpo_replay", [])


def test_without_the_baseline_there_are_no_differences():
    assert "Differences" not in markdown({"firm": [PLAIN, ZPPO]}, "grpo_replay", [])


def test_csv_has_the_same_numbers_as_fractions():
    table = {
        (line["row"], line["measure"]): line for line in csv.DictReader(io.StringIO(table_csv(RESULTS, "grpo_replay")))
    }
    accuracy = table["zppo", "accuracy"]
    assert (accuracy["n"], float(accuracy["mean"]), accuracy["missing"]) == ("2", pytest.approx(0.6), "1")
    assert float(accuracy["low"]) == pytest.approx(0.6 - 12.7062 * 0.1, rel=1e-4)
    assert (accuracy["difference_n"], float(accuracy["difference_mean"])) == ("1", pytest.approx(0.3))
    assert accuracy["difference_low"] == ""
    assert table["grpo_replay", "accuracy"]["difference_n"] == "0"
    assert (table["grpo", "graduation_rate"]["n"], table["grpo", "graduation_rate"]["mean"]) == ("0", "")


def test_runs_csv_has_a_line_for_every_seed():
    runs = list(csv.DictReader(io.StringIO(runs_csv(RESULTS))))
    assert [(run["row"], run["seed"], run["state"]) for run in runs[-3:]] == [
        ("zppo", "0", "finished"),
        ("zppo", "1", "failed: no | space"),
        ("zppo", "2", "finished"),
    ]
    assert [run["graduation_rate"] for run in runs[-3:]] == ["0.3", "", ""]


def test_worlds_that_differ_in_their_seed_count_once_each():
    def row(name: str, world: str, *accuracies: float) -> RowResult:
        return RowResult(world, name, name.upper(), {seed: {"accuracy": a} for seed, a in enumerate(accuracies)})

    results = {
        world: [row("grpo_replay", world, base, base), row("zppo", world, base + gain, base + gain + 0.02)]
        for world, base, gain in (("firm", 0.4, 0.1), ("firm-1", 0.6, 0.3), ("mild", 0.7, 0.1))
    }
    text = markdown(results, "grpo_replay", [])
    assert "## Over 2 worlds: firm\n" in text and "worlds: mild" not in text
    assert lines(text, "ZPPO")[-1][1:4] == ["2", "71.0% ± 254.1", "+21.0 ± 127.1 pp"]


def test_data_sources_are_told_apart_where_there_are_several():
    values = {seed: {"accuracy/sums": 0.2, "accuracy/legs": 0.6, "accuracy/sums_shifted": 0.1} for seed in (0, 1)}
    text = markdown({"own": [RowResult("own", "zppo", "ZPPO", values)]}, "grpo_replay", [])
    assert "| method | n | legs | sums | sums_shifted |" in text
    assert lines(text, "ZPPO")[-1][1:] == ["2", "60.0% ± 0.0", "20.0% ± 0.0", "10.0% ± 0.0 |"]
    assert "by data source" not in markdown(RESULTS, "grpo_replay", [])
