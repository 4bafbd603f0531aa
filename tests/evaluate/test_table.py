"""Tables of results beside the paper's rows."""

import csv
from pathlib import Path

import pytest

from recipe.zppo.evaluate.paper import families, paper_row, paper_rows_for
from recipe.zppo.evaluate.plot import scores_by_benchmark
from recipe.zppo.evaluate.report import write_report
from recipe.zppo.evaluate.results import BenchmarkResult, ModelResults
from recipe.zppo.evaluate.table import beside


def model_results(name: str, scores: dict[str, float | None]) -> ModelResults:
    """As the runner writes them; of a benchmark without a score most lines are unanswered."""
    results = ModelResults(name, f"models/{name}", "server", "judge", seed=0, samples=1, limit=None, protocol={})
    for benchmark, score in scores.items():
        family = families()[benchmark].value
        answered = 200 if score is not None else 50
        results.benchmarks[benchmark] = BenchmarkResult(
            benchmark, family, "Exact+Judge", "owner/set", score, questions=200, lines=200, answered=answered,
            unanswered=200 - answered, by_rule=answered // 2, by_judge=answered // 2, malformed=1, cut=3,
            error="" if score is not None else "75.0% of the questions\nhave no answer",
        )  # fmt: skip
    return results


def cells(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_a_model_beside_its_row(tmp_path: Path) -> None:
    whole = model_results("whole", {"MMVU": 40.0, "MVBench": 50.0, "VMME": 50.0, "VMMES": 50.0, "VMMMU": 60.0})
    part = model_results("part", {"AI2D": 70.0, "MMVU": 39.0, "MVBench": None, "VMME": 50.3})
    whole.protocol["max_tokens"] = 512
    write_report(tmp_path, [whole, part], paper_rows_for(["whole", "part"], ["0.8B/base"]))
    text = (tmp_path / "table.md").read_text()
    assert "samples 1, seed 0; not the protocol: max_tokens 512 (paper: 12288)\n- part:" in text
    vlm, video = text.index("## VLM"), text.index("## Video")
    assert vlm < video and "## LLM" not in text
    assert cells(text[vlm:], "part") == ["70.0", "70.0"] and cells(text[vlm:], "whole") == ["–", "–"]
    assert cells(text[vlm:], "part − paper") == ["+4.4", "+4.4"]
    text = text[video:]
    assert cells(text, "model") == ["MMVU", "MVBench", "VMME", "VMMES", "VMMMU", "average"]
    assert cells(text, "whole") == ["40.0", "50.0", "50.0", "50.0", "60.0", "50.0"]
    assert cells(text, "paper, 0.8B · base") == ["39.0", "51.6", "50.3", "51.6", "48.8", "48.3"]
    assert cells(text, "whole − paper") == ["+1.0", "-1.6", "-0.3", "-1.6", "+11.2", "+1.7"]
    assert cells(text, "part") == ["39.0", "–", "50.3", "–", "–", "44.6 (of 2)"]
    assert cells(text, "part − paper") == ["+0.0", "–", "+0.0", "–", "–", "+0.0 (of 2)"]
    assert "The average of part is over 2 of 5, without MVBench, VMMES and VMMMU." in text
    assert "- part, MVBench: 75.0% of the questions have no answer\n" in text and "- part, VMMES: not finished" in text
    decided = [cells(line, "part") for line in text.splitlines() if line.startswith("| part | MVBench")]
    assert decided == [["MVBench", "Exact+Judge", "200", "50.0%", "0", "50.0%", "2.0%", "0", "6.0%", "150 of 200"]]


def test_a_line_a_benchmark(tmp_path: Path) -> None:
    models = [model_results("a", {"AIME25": 10.0}), model_results("b", {"AIME25": None, "HLE": 2.2})]
    write_report(tmp_path, models, [None, paper_row("0.8B/base")])
    found = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [(row["model"], row["benchmark"], row["score"]) for row in found] == [
        ("a", "AIME25", "10.0"),
        ("b", "AIME25", ""),
        ("b", "HLE", "2.2"),
    ]
    assert [(row["paper"], row["paper_score"], row["difference"]) for row in found] == [
        ("", "", ""),
        ("0.8B/base", "3.3", ""),
        ("0.8B/base", "2.2", "0.0"),
    ]
    assert found[1]["unanswered"] == "150" and found[1]["by_judge"] == "25"


def test_rows_of_averages_alone(tmp_path: Path) -> None:
    write_report(tmp_path, [model_results("a", {"MMVU": 40.0})], [paper_row("2B/hint")])
    text = (tmp_path / "table.md").read_text()
    assert cells(text, "paper, 2B · Hint") == ["–", "61.6 (printed)"] and "a − paper" not in text


@pytest.mark.parametrize("name", ["a|b", "a\nb"])
def test_a_name_breaks_no_table(tmp_path: Path, name: str) -> None:
    write_report(tmp_path, [model_results(name, {"MMVU": 40.0})], [None])
    rows = [line for line in (tmp_path / "table.md").read_text().splitlines() if "40.0" in line]
    assert len(rows) == 1 and rows[0].replace("\\|", "").count("|") == 4


def test_a_picture(tmp_path: Path) -> None:
    models = [model_results("$a$", {"MMVU": 40.0, "AI2D": 10.0, "VisP": None}), model_results("b", {"AI2D": 0.0})]
    rows = beside(models, paper_rows_for(["a", "b"], ["0.8B/base"]))
    figure = scores_by_benchmark(rows)
    vlm, video = figure.axes
    assert [label.get_text() for label in vlm.get_yticklabels()] == ["AI2D"] and video.get_title(loc="left") == "Video"
    marks = {line.get_label(): list(line.get_xdata()) for line in vlm.lines}
    assert marks == {"$a$": [10.0], "b": [0.0], "paper, 0.8B · base": [65.6]}
    assert scores_by_benchmark(beside([model_results("none", {"AI2D": None})], [None])) is None
    assert [path.name for path in write_report(tmp_path, models, [None, None])] == ["table.md", "table.csv", "plot.png"]
