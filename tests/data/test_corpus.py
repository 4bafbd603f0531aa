"""ZPPO-77K from small copies of its sources: each filter with a count, caps, merging, and the files."""

import io
import json
import multiprocessing
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from recipe.zppo.data import zppo_77k
from recipe.zppo.data.progress import Progress
from recipe.zppo.data.subsets import BY_NAME, SUBSETS, canonical
from tests.data.conftest import (
    MMFINEREASON,
    VERO,
    mmfr_row,
    picture,
    vero_row,
    write_mmfinereason,
    write_shards,
    write_vero,
)

AI2D, TQA, PIXMO = "stem-ai2d_merged", "stem-tqa", "counting_grounding_search-pixmo"


def build(out: Path, *arguments: str) -> dict:
    """Without a processor unless asked for; the report."""
    defaults = {"vero": "null", "mmfinereason": "null", "processor": "null", "workers": "1", "out": str(out)}
    given = dict(argument.split("=", 1) for argument in arguments)
    assert zppo_77k.main([f"{key}={value}" for key, value in (defaults | given).items()]) == 0
    return json.loads((out / "report-train.json").read_text())


def rows_of(out: Path) -> list[dict]:
    return [row for file in sorted(out.glob("train-*.parquet")) for row in pq.read_table(file).to_pylist()]


def contents(out: Path) -> dict[str, bytes]:
    """All that a build leaves."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def complaint(capfd, *arguments: str) -> str:
    """The one line that a refused command says."""
    assert zppo_77k.main(["processor=null", "workers=1", *arguments]) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0].removeprefix("error: ")


def test_every_filter_counts_what_it_drops(tmp_path, processor_path):
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
    report = build(out, f"vero={vero}", f"mmfinereason={mmfr}", f"processor={processor_path}", "max_prompt_tokens=400")
    assert report["subsets"]["tqa"]["dropped"] == {
        "long_answer": 1,
        "no_answer": 1,
        "no_question": 1,
        "ungraded_kind": 1,
        "ungradable_answer": 1,
        "placeholders": 1,
        "small_image": 1,
        "unreadable_image": 2,
        "no_image": 1,
        "long_prompt": 1,
        "special_tokens": 1,
        "duplicate": 1,
        "unusable_image": 1,
    }
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
    from recipe.zppo.data import corpus
    from recipe.zppo.data.errors import BuildError

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
    from recipe.zppo.data import reading
    from recipe.zppo.data.errors import BuildError
    from recipe.zppo.data.sources import Vero

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


def test_another_build_in_the_folder_is_refused(tmp_path, capfd):
    vero = write_vero(tmp_path / "vero", {AI2D: [vero_row(number) for number in range(4)]})
    given = (f"vero={vero}", "mmfinereason=null", f"out={tmp_path / 'out'}")
    build(tmp_path / "out", *given)
    said = complaint(capfd, *given, "tier1_cap=2")
    assert said.startswith(f"out={tmp_path / 'out'}: holds a build with other settings (tier1_cap: 2800 there, 2 now);")
    assert build(tmp_path / "out", *given, "tier1_cap=2", "overwrite=true")["rows"] == 2
    write_vero(tmp_path / "vero", {AI2D: [vero_row(number) for number in range(9)]})
    assert "(files of vero: [[" in complaint(capfd, *given, "tier1_cap=2")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "train-00000-of-00001.parquet").write_text("mine")
    said = complaint(capfd, *given[:2], f"out={tmp_path / 'foreign'}", "overwrite=true")
    assert "train-00000-of-00001.parquet is there, but not from a build" in said


def test_two_builds_in_one_folder(tmp_path, capfd):
    import fcntl

    vero = write_vero(tmp_path / "vero", {AI2D: [vero_row(1)]})
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".lock-train", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process builds there" in complaint(capfd, f"vero={vero}", f"out={tmp_path / 'out'}")


@pytest.mark.parametrize("code", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EIO"])
def test_a_file_system_without_locks(tmp_path, capfd, monkeypatch, code):
    import errno
    import fcntl
    import os
    import types

    from recipe.zppo.data import work_folder

    def refuse(*_):
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    # Not in the module itself: `datasets` locks its cache.
    flags = {name: getattr(fcntl, name) for name in ("LOCK_EX", "LOCK_NB")}
    monkeypatch.setattr(work_folder, "fcntl", types.SimpleNamespace(flock=refuse, **flags))
    given = ("mmfinereason=null", f"vero={write_vero(tmp_path / 'vero', {AI2D: [vero_row(1)]})}")
    if code == "EIO":
        said = complaint(capfd, *given, f"out={tmp_path / 'out'}")
        assert said == f"{tmp_path / 'out'}: can't be written: Input/output error"
        return
    assert build(tmp_path / "out", *given)["rows"] == 1
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "locks" in line]
    assert line.startswith(f"out={tmp_path / 'out'}: the file system has no locks (") and "-o flock" in line


class Killed(BaseException):
    """As a kill: nothing handles it."""


@pytest.mark.parametrize("finished", [False, True])
def test_a_removal_that_is_killed_anywhere(tmp_path, monkeypatch, finished):
    """With `overwrite=true`; both the new settings and the old ones then lead to what they lead to from the start."""
    import os
    import shutil

    from recipe.zppo.data import corpus

    vero = write_vero(tmp_path / "vero", {AI2D: [vero_row(number, answer="1") for number in range(6)]}, shards=2)
    old = (f"vero={vero}", "rows_per_shard=2", "max_answer_chars=5")
    new = (f"vero={vero}", "rows_per_shard=2", "max_answer_chars=6", "strip_directives=false", "seed=3")
    build(tmp_path / "old", *old)
    build(tmp_path / "new", *new)
    start = tmp_path / "start"
    if finished:
        shutil.copytree(tmp_path / "old", start)
    else:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(corpus.WorkFolder, "finish", _kill)
            build(start, *old)
        assert (start / ".work-train" / "asked.json").is_file() and list(start.glob("train-*"))
    removals, names = 0, {"unlink": os.unlink, "rmdir": os.rmdir}
    while True:
        left = removals

        def counting(name):
            def remove(*arguments, **named):
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return names[name](*arguments, **named)

            return remove

        out = tmp_path / f"killed-{removals}"
        shutil.copytree(start, out)
        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(os, name, counting(name))
            try:
                build(out, *new, "overwrite=true")
                break
            except Killed:
                pass
        shutil.copytree(out, tmp_path / f"back-{removals}")
        build(out, *new, "overwrite=true")
        assert contents(out) == contents(tmp_path / "new")
        # Whoever changes their mind gets the old build, if the new one did not begin.
        build(tmp_path / f"back-{removals}", *old, "overwrite=true")
        assert contents(tmp_path / f"back-{removals}") == contents(tmp_path / "old")
        removals += 1
    assert removals > 5


def test_files_of_tasks_without_a_plan_are_not_trusted(tmp_path):
    """As a killed removal of an older version left them."""
    vero = write_vero(tmp_path / "vero", {AI2D: [vero_row(number) for number in range(4)]})
    build(tmp_path / "fresh", f"vero={vero}")
    scan = tmp_path / "out" / ".work-train" / "scan"
    scan.mkdir(parents=True)
    (scan / "00000.parquet").write_text("of other settings")
    build(tmp_path / "out", f"vero={vero}")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def _kill(*_) -> None:
    raise Killed


def without(schema: pa.Schema, name: str) -> pa.Schema:
    return schema.remove(schema.get_field_index(name))


def test_schema_drift_names_the_column(tmp_path, capfd):
    out = f"out={tmp_path / 'out'}"
    write_shards(tmp_path / "a" / AI2D, [vero_row(1)], without(VERO, "image"), 1, "train")
    said = complaint(capfd, f"vero={tmp_path / 'a'}", out, "mmfinereason=null")
    assert said == (
        f"vero={tmp_path / 'a'} ({AI2D}): column image is missing; the set has id, data_source, prompt, ability, "
        "reward_model, extra_info"
    )
    style = pa.struct([("style", pa.string())])
    drifted = VERO.set(VERO.get_field_index("reward_model"), pa.field("reward_model", style))
    write_shards(tmp_path / "b" / AI2D, [vero_row(1)], drifted, 1, "train")
    said = complaint(capfd, f"vero={tmp_path / 'b'}", out, "mmfinereason=null")
    assert said.endswith("column reward_model.ground_truth is missing; reward_model has style")
    for name in ("source", "question", "answer", "image", "pass_rate"):
        write_shards(tmp_path / name, [mmfr_row(1, "MMR1")], without(MMFINEREASON, name), 1, "train")
        said = complaint(capfd, f"mmfinereason={tmp_path / name}", out, "vero=null")
        assert f": column {name} is missing; the set has id" in said


def test_other_accepted_forms(tmp_path):
    """The pass rate under the publishers' other name; a single file, in which `data_source` names the sub-set; a copy
    with a card; pictures as a list."""
    renamed = MMFINEREASON.set(
        MMFINEREASON.get_field_index("pass_rate"), pa.field("qwen3vl_4b_pass_rate", pa.float64())
    )
    listed = pa.field("image", pa.list_(MMFINEREASON.field("image").type))
    renamed = renamed.set(renamed.get_field_index("image"), listed)
    rows = [mmfr_row(number, "MMR1", qwen3vl_4b_pass_rate=number / 3) for number in range(4)]
    for row in rows:
        row["image"] = [row["image"]] * (2 if row["id"] == "m0" else 1)
    write_shards(tmp_path / "mmfr", rows, renamed, 1, "train")
    flat = [vero_row(number) | {"data_source": "wemath20_pro" if number else "vizwiz"} for number in range(3)]
    write_shards(tmp_path / "flat", flat, VERO, 1, "train")
    file = tmp_path / "flat" / "train-00000-of-00001.parquet"
    report = build(tmp_path / "out", f"mmfinereason={tmp_path / 'mmfr'}", f"vero={file}")
    assert report["subsets"]["mmr1"]["kept"] == 1
    assert report["subsets"]["mmr1"]["dropped"] == {"pass_rate": 2, "several_images": 1}
    assert report["subsets"]["wemath"]["kept"] == 2 and report["unlisted"] == {"vero": {"vizwiz": 1}}

    card = write_vero(tmp_path / "card", {AI2D: [vero_row(1)], "captioning_IF-y": [vero_row(2)]})
    lines = ["---", "configs:"]
    for config in (AI2D, "captioning_IF-y"):
        lines += [f"- config_name: {config}", "  data_files:", "  - split: train", f"    path: {config}/train-*"]
    (card / "README.md").write_text("\n".join([*lines, "---", "# Vero"]))
    report = build(tmp_path / "from_card", f"vero={card}")
    assert report["rows"] == 1 and report["configs_not_read"] == {"vero": ["captioning_IF-y"]}
    assert "raven" in report["subsets_not_found"] and "mmr1" not in report["subsets_not_found"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["vero=zlab-princeton/Vero-600k"],
            "can't be reached (HF_HUB_OFFLINE is set); download it where",
        ),
        (["vero=./nowhere"], "./nowhere: no such file or folder"),
        (["vero={vero}", "split=val"], "has no parquet file of the split val"),
        (["vero={vero}", "tier1_cap=0"], "no row is left of 3: over_cap 3"),
        (["vero={vero}", "subsets=[raven]"], "no config is one of the listed sub-sets; it has stem-ai2d_merged"),
        (["vero={vero}", "subsets=[ravens]"], "subsets: ravens is not one of ai2d, geo170k"),
        (["vero={mmfr}"], "column prompt is missing; the set has id, source"),
        (["vero=null"], "both are null; there is nothing to build from"),
        (["vero={vero}", "processor=./nowhere"], "processor=./nowhere: can't be loaded; give the folder of"),
        (
            ["vero={vero}", "out={vero}/stem-ai2d_merged/train-00000-of-00001.parquet"],
            "a file stands where",
        ),
        (["vero={vero}", "teir1_cap=3"], "unknown key teir1_cap; did you mean tier1_cap?"),
        (["vero={vero}", "tier1_cap=many"], "tier1_cap: expected a whole number, got 'many'"),
        (["vero={vero}", "duplicates=both"], "duplicates: 'both' is not one of drop, fill"),
        (["vero={vero}", "workers=0"], "workers: expected at least 1, got 0"),
    ],
)
def test_refusals_are_one_line(tmp_path, capfd, offline, arguments, said):
    write_vero(tmp_path / "vero", {AI2D: [vero_row(number) for number in range(3)]})
    write_mmfinereason(tmp_path / "mmfr", [mmfr_row(1, "MMR1")])
    places = {"vero": tmp_path / "vero", "mmfr": tmp_path / "mmfr"}
    given = {"mmfinereason": "null", "out": str(tmp_path / "out"), "processor": "null"}
    given |= dict(argument.format(**places).split("=", 1) for argument in arguments)
    processor = given.pop("processor")
    status = zppo_77k.main(
        [f"processor={processor}", "workers=1"][: 1 if "workers" in given else 2]
        + [f"{key}={value}" for key, value in given.items()]
    )
    error = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert status == 2 and len(error) == 1 and said in error[0]


def test_a_source_in_other_files(tmp_path, capfd):
    (tmp_path / "vero").mkdir()
    (tmp_path / "vero" / "train.jsonl").write_text('{"id": 1}\n')
    (tmp_path / "vero" / "README.md").write_text(
        f"---\nconfigs:\n- config_name: {AI2D}\n  data_files:\n  - split: train\n    path: train.jsonl\n---\n"
    )
    said = complaint(capfd, f"vero={tmp_path / 'vero'}", "mmfinereason=null", f"out={tmp_path / 'out'}")
    assert said.endswith("its files are of the kind json; give a copy of it in parquet files")


def test_a_file_that_is_no_parquet(tmp_path, capfd):
    folder = tmp_path / "vero" / AI2D
    folder.mkdir(parents=True)
    (folder / "train-00000-of-00001.parquet").write_text("not parquet")
    said = complaint(capfd, f"vero={tmp_path / 'vero'}", "mmfinereason=null", f"out={tmp_path / 'out'}")
    assert f"vero={tmp_path / 'vero'} ({AI2D}): can't be read: " in said


def test_a_killed_worker_is_named(tmp_path):
    from recipe.zppo.data.errors import BuildError
    from recipe.zppo.data.pool import pool

    with (
        pool(2) as processes,
        pytest.raises(BuildError, match="a worker process was killed, perhaps for lack of memory"),
    ):
        processes.run(_die, [(9,), (9,)], print)


def test_workers_do_not_outlive_an_interruption():
    from recipe.zppo.data.pool import pool

    began = time.monotonic()

    def interrupt(_) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), pool(2) as processes:
        processes.run(time.sleep, [(0.01,), (100,), (100,)], interrupt)
    end = time.monotonic() + 20
    while multiprocessing.active_children() and time.monotonic() < end:
        time.sleep(0.05)
    assert not multiprocessing.active_children() and time.monotonic() - began < 60


def test_a_terminal_shows_a_bar():
    file = io.StringIO()
    progress = Progress(Console(file=file, force_terminal=True, width=100))
    with progress.phase("reading", 4, done=1) as step:
        step()
    assert "reading" in file.getvalue() and "2/4" in file.getvalue()


def _die(signal: int) -> None:
    import os

    os.kill(os.getpid(), signal)


def test_help_lists_the_keys(capsys):
    with pytest.raises(SystemExit) as caught:
        zppo_77k.main(["--help"])
    assert caught.value.code == 0
    assert "  tier1_cap: most rows of a sub-set of tier 1 (default: 2800)" in capsys.readouterr().out
