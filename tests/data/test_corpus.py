"""ZPPO-77K from small copies of its sources: each filter with a count, caps, merging, and the files."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recipe.zppo.data import corpus, reading, zppo_77k
from recipe.zppo.data.errors import BuildError
from recipe.zppo.data.sources import Vero
from recipe.zppo.data.subsets import BY_NAME, SUBSETS, canonical
from tests.data.building import AI2D, PIXMO, TQA, build, contents, rows_of
from tests.data.conftest import mmfr_row, picture, vero_row, write_mmfinereason, write_vero


def test_every_filter_counts_what_it_drops(tmp_path, qwen2_vl_path):
    prose = "because the water evaporates and the clouds then carry it away"
    special = [
        vero_row(1000, answer="x" * 513),
        vero_row(1001, answer=""),
        vero_row(1002, question="", prompt=""),
        vero_row(1003, answer="[[1, 2]]", reward_type="grounding"),
        vero_row(1004, answer="\\frac{1"),
        vero_row(1005, question="<image> <image> which"),
        vero_row(1006, image=picture(99, 200)),
        vero_row(1007, image=b"no picture"),
        vero_row(1008, image=None),
        vero_row(1009, question="a b c " * 200),
        vero_row(1010, question="is this <|image_pad|> fine"),
        vero_row(1011),
        vero_row(1011),
        vero_row(1012, image=picture(300, 100)[:60]),
        vero_row(1013, image=picture(21000, 100)),
    ]
    fine = [
        vero_row(1, answer=prose, reward_type="llm_judge"),
        vero_row(2, answer="B", reward_type="multiple_choice"),
        vero_row(3, question="", prompt="<image>what is 3 + 1"),
    ]
    vero = write_vero(tmp_path / "vero", {TQA: special + fine}, shards=3)
    rates = [None, float("nan"), 0.0, 0.5, 0.75]
    found = [mmfr_row(number, "MMR1", pass_rate=rate) for number, rate in enumerate(rates)]
    found += [mmfr_row(10, "MMR1", answer=None), mmfr_row(11, "MMR1", answer=prose), mmfr_row(12, "GameQA-140K")]
    mmfr = write_mmfinereason(tmp_path / "mmfr", found)
    out = tmp_path / "out"
    report = build(out, f"vero={vero}", f"mmfinereason={mmfr}", f"processor={qwen2_vl_path}", "max_prompt_tokens=400")
    dropped = report["subsets"]["tqa"]["dropped"]
    assert dropped.pop("unreadable_image") == 2
    once = {"long_answer", "no_answer", "no_question", "ungraded_kind", "ungradable_answer", "placeholders"}
    once |= {"no_image", "small_image", "unusable_image", "long_prompt", "special_tokens", "duplicate"}
    assert dropped == dict.fromkeys(once, 1)
    assert report["subsets"]["tqa"]["kept"] == 4 and report["subsets"]["tqa"]["read"] == 18
    assert report["subsets"]["mmr1"]["dropped"] == {"no_pass_rate": 2, "pass_rate": 1, "no_answer": 1}
    assert report["unlisted"] == {"mmfinereason": {"GameQA-140K": 1}}
    assert "bmmr" in report["subsets_not_found"] and "tqa" not in report["subsets_not_found"]
    assert report["rows"] == 7 == len(rows_of(out))
    by_answer = {row["reward_model"]["ground_truth"]: row for row in rows_of(out)}
    assert by_answer[prose]["extra_info"]["answer_type"] == "free_form"
    assert by_answer["B"]["extra_info"]["answer_type"] == "rule"
    judged = [row for row in rows_of(out) if row["extra_info"]["answer_type"] == "free_form"]
    assert Counter(row["data_source"] for row in judged) == {"tqa": 1, "mmr1": 1}
    assert sorted(row["pass_rate"] for row in rows_of(out) if row["data_source"] == "mmr1") == [0.0, 0.25, 0.5]


def test_a_row_as_it_is_written(tmp_path):
    question = "<image>\nWhich is larger? Let's think step by step."
    image = picture(120, 130)
    vero = write_vero(tmp_path / "vero", {AI2D: [vero_row(1, question=question, answer="\\boxed{B}", image=image)]})
    build(tmp_path / "out", f"vero={vero}")
    (row,) = rows_of(tmp_path / "out")
    assert row["prompt"] == [{"role": "user", "content": "<image>\nWhich is larger?"}]
    assert row["images"] == [{"bytes": image, "path": None}]
    assert row["reward_model"] == {"style": "rule", "ground_truth": "B"}
    assert row["data_source"] == "ai2d" and row["prompt_id"].startswith("ai2d-") and row["pass_rate"] is None
    assert json.loads(row["extra_info"]["metadata"]) == {"id": "v1", "source": "vero", "subset": AI2D}


def test_caps_by_tier_shards_and_indices(tmp_path):
    configs = {AI2D: [vero_row(number) for number in range(30)], PIXMO: [vero_row(number) for number in range(30)]}
    vero = write_vero(tmp_path / "vero", configs, shards=2)
    report = build(tmp_path / "out", f"vero={vero}", "tier1_cap=12", "tier2_cap=5", "rows_per_shard=4")
    kept = {name: (entry["cap"], entry["kept"], entry["dropped"]) for name, entry in report["subsets"].items()}
    assert kept == {"ai2d": (12, 12, {"over_cap": 18}), "pixmo": (5, 5, {"over_cap": 25})}
    names = [f"train-0000{number}-of-00005.parquet" for number in range(5)]
    assert report["files"] == names
    rows = rows_of(tmp_path / "out")
    assert [row["extra_info"]["index"] for row in rows] == list(range(17))
    assert len({row["prompt_id"] for row in rows}) == 17
    assert len({row["data_source"] for row in rows[:8]}) == 2
    # Another seed takes other rows; the same rows have the same ids.
    build(tmp_path / "other", f"vero={vero}", "tier1_cap=12", "tier2_cap=5", "seed=1")
    ids = {row["prompt_id"]: row["prompt"] for row in rows}
    others = {row["prompt_id"]: row["prompt"] for row in rows_of(tmp_path / "other")}
    assert set(ids) != set(others) and set(ids) & set(others)
    assert all(others[name] == ids[name] for name in set(ids) & set(others))


@pytest.mark.parametrize(("mode", "kept"), [("drop", {"vero": 6}), ("fill", {"vero": 6, "mmfinereason": 2})])
def test_of_a_sub_set_in_both_sources_vero_wins(tmp_path, mode, kept):
    vero = write_vero(tmp_path / "vero", {AI2D: [vero_row(number) for number in range(6)]})
    found = [mmfr_row(number, "FineVision-ai2d_merged" if number % 2 else "MMR1") for number in range(20)]
    mmfr = write_mmfinereason(tmp_path / "mmfr", found)
    sources = (f"vero={vero}", f"mmfinereason={mmfr}")
    report = build(tmp_path / "out", *sources, f"duplicates={mode}", "tier1_cap=8")
    assert report["subsets"]["ai2d"]["kept_by_source"] == kept
    assert report["subsets"]["ai2d"]["read"] == 16
    assert report["subsets"]["mmr1"]["kept"] == 8
    assert set(report["subsets"]["ai2d"]["dropped"]) == {"other_source" if mode == "drop" else "over_cap"}


def test_canonical_names():
    pairs = {
        ("vero", "stem-wemath20_pro"): "wemath",
        ("vero", "chart_ocr-CoSyn_400k_chart"): "cosyn_chart",
        ("vero", "counting_grounding_search-multihop"): "multihop",
        ("vero", "mmk12"): "mmk12",
        ("mmfinereason", "FineVision-geometry3k(mathv360k)"): "geometry3k",
        ("mmfinereason", "FineVision-visualwebinstruct(filtered)"): "visualwebinstruct",
        ("mmfinereason", "WeMath2-SFT"): "wemath",
        ("mmfinereason", "Zebra-CoT-Physics"): "zebra_cot",
    }
    for (source, name), expected in pairs.items():
        assert canonical(source, name) is BY_NAME[expected]
    assert canonical("mmfinereason", "WaltonColdStart") is None
    assert canonical("vero", "spatial_action-game_QA") is None
    assert Counter(subset.tier for subset in SUBSETS if subset.vero) == {1: 14, 2: 15}
    assert Counter(subset.tier for subset in SUBSETS if subset.mmfinereason) == {1: 12, 2: 5}


def sources_of_many_rows(tmp_path: Path) -> list[str]:
    configs = {
        config: [
            vero_row(number, image=picture(90 if number % 9 == 0 else 110, 120), answer="" if number % 7 == 0 else "1")
            for number in range(40)
        ]
        for config in (AI2D, TQA, PIXMO)
    }
    vero = write_vero(tmp_path / "vero", configs, shards=4)
    found = [mmfr_row(number, ("MMR1", "BMMR", "TQA")[number % 3], pass_rate=number % 4 / 4) for number in range(90)]
    mmfr = write_mmfinereason(tmp_path / "mmfr", found, shards=5)
    return [f"vero={vero}", f"mmfinereason={mmfr}", "tier1_cap=18", "tier2_cap=9", "rows_per_shard=10"]


def test_a_killed_build_goes_on_with_other_workers_to_the_same_bytes(tmp_path):
    arguments = [*sources_of_many_rows(tmp_path), "processor=null"]
    build(tmp_path / "whole", *arguments)
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "recipe.zppo.data.zppo_77k", *arguments, "workers=1", f"out={out}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    examined = out / ".work-train" / "rows"
    end = time.monotonic() + 100
    while len(list(examined.glob("*.json"))) < 3 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -9
    done = {path.name: path.stat().st_mtime_ns for path in examined.glob("*.json")}
    assert 3 <= len(done) < 17 and not list(out.glob("train-*.parquet"))
    (examined / "000-00001.arrow.12.tmp").write_text("half")
    build(out, *arguments, "workers=2")
    assert contents(out) == contents(tmp_path / "whole")
    assert not (out / ".work-train").exists()


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    arguments = sources_of_many_rows(tmp_path)
    build(tmp_path / "whole", *arguments)
    calls = []

    def stopping(name, function):
        def counted(*task):
            calls.append((name, task[-1]))
            if len(calls) % 4 == 0:
                raise BuildError("stopped")
            return function(*task)

        return counted

    for name in ("scan_unit", "examine_unit", "write_shard"):
        monkeypatch.setattr(corpus, name, stopping(name, getattr(corpus, name)))
    out = tmp_path / "out"
    starts = 1
    while zppo_77k.main([*arguments, "processor=null", "workers=1", f"out={out}"]) == 2:
        starts += 1
    assert contents(out) == contents(tmp_path / "whole")
    # Each task was begun once, and once more if it was stopped.
    assert len(calls) - len(set(calls)) == starts - 1 > 5
    before = len(calls)
    assert zppo_77k.main([*arguments, "processor=null", f"out={out}"]) == 0
    assert len(calls) == before


@pytest.mark.parametrize("seed", range(3))
def test_few_rows_of_many(tmp_path, seed):
    """More rows than are held at a time, of which hardly any is wanted: whatever the files and row groups."""
    small, fine = picture(90, 120), picture(110, 120)
    rows = [vero_row(number, image=small if number % 3 else fine) for number in range(1500)]
    chosen = []
    for name, shards in (("one", 1), ("some", 3)):
        vero = write_vero(tmp_path / name / "vero", {AI2D: rows}, shards=shards)
        if shards == 1:
            file = vero / AI2D / "train-00000-of-00001.parquet"
            pq.write_table(pq.read_table(file), file, row_group_size=1000)
        build(tmp_path / name / "out", f"vero={vero}", "tier1_cap=3", f"seed={seed}")
        chosen.append(rows_of(tmp_path / name / "out"))
    assert chosen[0] == chosen[1] and len(chosen[0]) == 3


@pytest.mark.parametrize("with_card", [False, True])
def test_only_row_groups_with_a_wanted_row_are_read(tmp_path, with_card):
    """The pictures of the others are broken here in a way that no reader survives."""
    write_vero(tmp_path, {AI2D: [vero_row(number) for number in range(300)]})
    file = tmp_path / AI2D / "train-00000-of-00001.parquet"
    if with_card:
        data_files = f"  data_files:\n  - split: train\n    path: {AI2D}/train-*"
        (tmp_path / "README.md").write_text(f"---\nconfigs:\n- config_name: {AI2D}\n{data_files}\n---\n")
    metadata, content = pq.read_metadata(file), bytearray(file.read_bytes())
    wanted, broken = [3, 6, 150, 299], 0
    for group in range(metadata.num_row_groups):
        if group in (0, 150 // 7, 299 // 7):
            continue
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            if column.path_in_schema == "image.bytes":
                first = column.dictionary_page_offset or column.data_page_offset
                content[first : first + column.total_compressed_size] = b"\xff" * column.total_compressed_size
                broken += 1
    assert broken == 40
    file.write_bytes(content)
    source = Vero()
    place = reading.Place("vero", str(tmp_path), "train", AI2D)
    (unit,) = reading.units(place, source.text_columns, source.image_column)
    assert unit.name == "train-00000-of-00001.parquet"
    found = list(reading.rows(unit, wanted))
    assert [(number, row["id"]) for number, row in found] == [(number, f"v{number}") for number in wanted]
    assert [row["image"]["bytes"] for _, row in found] == [picture(shade=number) for number in wanted]
    assert list(reading.rows(unit, [])) == [] == list(reading.rows(unit, [300]))
    with pytest.raises(BuildError, match="can't be read"):
        list(reading.rows(unit, [10]))


def test_rows_without_id_are_told_apart(tmp_path):
    """Six pictures with the same question and answer; with an id, the row that comes twice is one."""
    same = {"question": "<image>what is it", "answer": "4"}
    pictures = [picture(shade=40 * number) for number in range(6)]
    rows = [vero_row(number, id=None, image=image, **same) for number, image in enumerate(pictures)]
    rows += [vero_row(7, id="v7", **same)] * 2
    vero = write_vero(tmp_path / "vero", {TQA: rows}, shards=2)
    found = [mmfr_row(0, "MMR1", id=None, image={"bytes": image, "path": None}) for image in pictures]
    mmfr = write_mmfinereason(tmp_path / "mmfr", found)
    sources = (f"vero={vero}", f"mmfinereason={mmfr}")
    report = build(tmp_path / "out", *sources)
    counts = {name: (entry["kept"], entry["dropped"]) for name, entry in report["subsets"].items()}
    assert counts == {"tqa": (7, {"duplicate": 1}), "mmr1": (6, {})}
    rows = rows_of(tmp_path / "out")
    assert len({row["prompt_id"] for row in rows}) == 13
    # The ids are those of another build, of another copy.
    (tmp_path / "moved").mkdir()
    (tmp_path / "vero").rename(tmp_path / "moved" / "vero")
    build(tmp_path / "again", f"vero={tmp_path / 'moved' / 'vero'}", sources[1])
    assert rows_of(tmp_path / "again") == rows


def test_changed_questions_are_counted(tmp_path, capsys):
    questions = [
        "<image>what is it",
        "<image>what is it? Think step by step.",
        "<image>find it and put it in \\boxed{}.",
    ]
    vero = write_vero(tmp_path / "vero", {AI2D: [vero_row(n, question=text) for n, text in enumerate(questions)]})
    assert build(tmp_path / "out", f"vero={vero}")["questions_changed"] == 2
    assert "directives were taken off 2 question(s)" in capsys.readouterr().out
    assert build(tmp_path / "as_is", f"vero={vero}", "strip_directives=false")["questions_changed"] == 0
