"""Gold answers that the grader can't tell apart, or refuses to themselves."""

import io
import time

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from recipe.zppo.data import convert
from recipe.zppo.data.gold_answers import MAX_PAIRS, compare_golds, examine, told
from recipe.zppo.data.progress import Progress
from recipe.zppo.data.report import print_report


def test_different_golds_that_are_called_equal():
    golds = ["AB", "BA", "Paris", "paris", "3 minutes", "3 hours", "4 6", "3 7", "1/2", "0.5"]
    found = examine(golds, "paper")
    assert found["different"] == 9 and found["pairs"] == found["compared"] == 36
    equal = {frozenset(pair[:2]): pair[2] for pair in found["equal_examples"]}
    wrong = {frozenset(pair) for pair in (("AB", "BA"), ("3 minutes", "3 hours"), ("4 6", "3 7"))}
    assert equal == dict.fromkeys(wrong, False) | {frozenset(("1/2", "0.5")): True}
    assert found["equal"] == 4 and found["equal_examples"][-1][2], (
        "those that the careful grader tells apart come first"
    )
    assert examine(golds, "careful")["equal"] == 1


def test_golds_that_are_refused_to_themselves():
    found = examine(["5", "\\frac{1", "x" * 600], "paper")
    assert (found["refused"], found["refused_examples"]) == (2, ["\\frac{1", "x" * 600])


def test_many_golds_are_sampled_and_likely_pairs_are_found():
    start = time.process_time()
    found = examine([*(f"word{i}" for i in range(3000)), "on", "no"], "paper")
    assert (found["different"], found["compared"]) == (3002, MAX_PAIRS)
    assert ["no", "on"] in [sorted(pair[:2]) for pair in found["equal_examples"]]
    assert time.process_time() - start < 20
    assert examine([], "paper")["compared"] == examine(["1"], "paper")["compared"] == 0


def write(path, golds, source="words"):
    rows = [
        {
            "data_source": source,
            "prompt": [{"role": "user", "content": f"question {i}"}],
            "reward_model": {"style": "rule", "ground_truth": gold},
        }
        for i, gold in enumerate(golds)
    ]
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def test_a_conversion_says_so(tmp_path, capsys):
    write(tmp_path / "source" / "train.parquet", ["on", "no", "1\x1b[31m", "y" * 300, "x" * 300])
    arguments = ["name=verl", f"source={tmp_path / 'source'}", f"out={tmp_path / 'out'}"]
    assert convert.main(arguments) == 0
    said = capsys.readouterr()
    expected = "words: the paper grader calls 1 of 10 pairs of different gold answers equal (10 there are): "
    assert said.out.splitlines()[1] == f"{expected}no = on (not by careful)"
    assert "comparing gold answers: 1 of 1" in said.err
    assert convert.main([*arguments, "grader=careful"]) == 0
    assert "gold answers equal" not in capsys.readouterr().out


def test_a_report_says_so_for_each_sub_set_and_the_judges_rows_do_not_count(tmp_path, capsys):
    write(tmp_path / "a" / "a.parquet", ["on", "no"])
    write(tmp_path / "a" / "b.parquet", ["\\frac{1", "5"], source="broken")
    rows = pq.read_table(tmp_path / "a" / "a.parquet").to_pylist()
    judged = [row | {"data_source": "judged", "extra_info": {"answer_type": "free_form"}} for row in rows]
    pq.write_table(pa.Table.from_pylist(judged), tmp_path / "a" / "c.parquet")
    console = Console(file=io.StringIO())
    report = compare_golds(sorted((tmp_path / "a").iterdir()), "paper", Progress(console))
    lines = list(told(report))
    assert [line.partition(":")[0] for line in lines] == ["broken", "words"]
    assert lines[0] == "broken: the paper grader refuses gold answers to themselves, 1 of 2: \\frac{1"
    empty = {name: {} for name in ("dropped", "subsets", "unlisted", "configs_not_read")}
    whole = empty | {"rows": 4, "questions_changed": 0, "subsets_not_found": [], "files": ["f"], "gold_answers": report}
    entry = {"tier": 0, "cap": 1, "read": 1, "kept": 1, "dropped": {"[/red]": 1}}
    print_report(whole | {"subsets": {"[/bold]": entry}}, "out")
    out = capsys.readouterr().out
    assert all(line in out for line in (*lines, "[/bold]", "[/red] 1"))
