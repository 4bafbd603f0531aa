"""What a build refuses, in one line; what becomes of its processes; what it shows."""

import io
import multiprocessing
import signal
import time
from contextlib import closing

import pyarrow as pa
import pytest
from rich.console import Console

from recipe.zppo.data import zppo_77k
from recipe.zppo.data.errors import BuildError
from recipe.zppo.data.pool import Pool
from recipe.zppo.data.progress import Progress
from tests.data.building import AI2D, build, complaint
from tests.data.conftest import MMFINEREASON, VERO, mmfr_row, vero_row, write_mmfinereason, write_shards, write_vero


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
        (["vero=zlab-princeton/Vero-600k"], "can't be reached (HF_HUB_OFFLINE is set); download it where"),
        (["vero=./nowhere"], "./nowhere: no such file or folder"),
        (["vero={vero}", "split=val"], "has no parquet file of the split val"),
        (["vero={vero}", "tier1_cap=0"], "no row is left of 3: over_cap 3"),
        (["vero={vero}", "subsets=[raven]"], "no config is one of the listed sub-sets; it has stem-ai2d_merged"),
        (["vero={vero}", "subsets=[ravens]"], "subsets: ravens is not one of ai2d, geo170k"),
        (["vero={mmfr}"], "column prompt is missing; the set has id, source"),
        (["vero=null"], "both are null; there is nothing to build from"),
        (["vero={vero}", "processor=./nowhere"], "processor=./nowhere: can't be loaded; give the folder of"),
        (["vero={vero}", "out={vero}/stem-ai2d_merged/train-00000-of-00001.parquet"], "a file stands where"),
        (["vero={vero}", "teir1_cap=3"], "unknown key teir1_cap; did you mean tier1_cap?"),
        (["vero={vero}", "tier1_cap=many"], "tier1_cap: expected a whole number, got 'many'"),
        (["vero={vero}", "duplicates=both"], "duplicates: 'both' is not one of drop, fill"),
        (["vero={vero}", "workers=0"], "workers: expected at least 1, got 0"),
    ],
)
def test_refusals_are_one_line(tmp_path, capfd, offline, arguments, said):
    write_vero(tmp_path / "vero", {AI2D: [vero_row(number) for number in range(3)]})
    write_mmfinereason(tmp_path / "mmfr", [mmfr_row(1, "MMR1")])
    given = (argument.format(vero=tmp_path / "vero", mmfr=tmp_path / "mmfr") for argument in arguments)
    assert said in complaint(capfd, "mmfinereason=null", f"out={tmp_path / 'out'}", *given)


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
    with (
        closing(Pool(2)) as processes,
        pytest.raises(BuildError, match="a worker process was killed, perhaps for lack of memory"),
    ):
        processes.run(signal.raise_signal, [(9,), (9,)], print)


def test_workers_do_not_outlive_an_interruption():
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), closing(Pool(2)) as processes:
        processes.run(time.sleep, [(0.01,), (10_000,), (10_000,)], interrupt)
    end = time.monotonic() + 20
    while multiprocessing.active_children() and time.monotonic() < end:
        time.sleep(0.05)
    assert not multiprocessing.active_children()


def test_a_terminal_shows_a_bar():
    file = io.StringIO()
    progress = Progress(Console(file=file, force_terminal=True, width=100))
    with progress.phase("reading", 4, done=1) as step:
        step()
    assert "reading" in file.getvalue() and "2/4" in file.getvalue()


def test_help_lists_the_keys(capsys):
    with pytest.raises(SystemExit) as caught:
        zppo_77k.main(["--help"])
    assert caught.value.code == 0
    assert "  tier1_cap: most rows of a sub-set of tier 1 (default: 2800)" in capsys.readouterr().out
