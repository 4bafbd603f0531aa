"""A folder among the data files stands for the files in it."""

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import datasets
import huggingface_hub
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from recipe.zppo.data.conversion import ConvertSettings, convert
from recipe.zppo.data.parquet import write_rows
from recipe.zppo.data.rows import build_row
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.data_files import check_training_files
from recipe.zppo.preflight.data_folders import list_folders


def fill(folder, *names: str) -> str:
    for number, name in enumerate(names):
        write_rows(folder / name, [build_row(data_source="s", question="q", answer="1", prompt_id=f"{name}-{number}")])
    return str(folder)


def listed(train, val) -> tuple:
    data = OmegaConf.create({"train_files": train, "val_files": val})
    OmegaConf.set_struct(data, True)
    list_folders(data)
    return OmegaConf.to_container(data.train_files) if not isinstance(data.train_files, str) else train, data.val_files


def test_folders_are_listed_in_order(tmp_path):
    folder = fill(tmp_path / "a", "train-1.parquet", "train-0.parquet", "test.parquet", "report.parquet")
    shards = [f"{folder}/train-0.parquet", f"{folder}/train-1.parquet"]
    assert listed(folder, folder) == (shards, [f"{folder}/test.parquet"])
    own = fill(tmp_path / "b", "mine.parquet") + "/mine.parquet"
    fill(tmp_path / "a", "val.parquet")
    assert listed([own, folder], folder) == ([own, *shards], [f"{folder}/val.parquet"])
    assert listed(own, None) == (own, None)
    assert listed("hdfs://x/y", own) == ("hdfs://x/y", own)
    data = OmegaConf.create({"train_files": folder, "val_files": own, "prompt_key": "prompt"})
    list_folders(data)
    assert check_training_files(data, "prompt_id", judge_route=None) == 2


def test_a_folder_without_such_files(tmp_path):
    folder = fill(tmp_path, "mine.parquet")
    with pytest.raises(ConfigError, match=r"^data.val_files: the folder .* has no val\*.parquet or test\*.parquet$"):
        listed("x.parquet", folder)
    with pytest.raises(ConfigError, match=r"^data.train_files: the folder .* has no train\*.parquet$"):
        listed([folder], "x.parquet")


def test_every_row_of_every_shard_is_checked(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [build_row(data_source="s", question="q", answer="1", prompt_id=f"r{number}") for number in range(200)]
    write_rows(tmp_path / "train-0.parquet", rows[:130])
    rows[150]["reward_model"]["ground_truth"] = " "
    write_rows(tmp_path / "train-1.parquet", rows[130:])
    data = OmegaConf.create({"train_files": str(tmp_path), "prompt_key": "prompt"})
    list_folders(data)
    with pytest.raises(ConfigError, match=r"train-1.parquet row 20 has no answer .*; 1 such row"):
        check_training_files(data, "prompt_id", judge_route=None)
    rows[150]["reward_model"]["ground_truth"] = "2"
    rows[140]["prompt"][0]["content"] = ""
    pq.write_table(pa.Table.from_pylist(rows[130:]), tmp_path / "train-1.parquet")
    with pytest.raises(ConfigError, match=r"train-1.parquet row 10 has no question"):
        check_training_files(data, "prompt_id", judge_route=None)
    rows[140]["prompt"][0]["content"] = "q"
    rows[135]["prompt_id"] = "r3"
    write_rows(tmp_path / "train-1.parquet", rows[130:])
    with pytest.raises(ConfigError, match=r"row 5 repeats prompt_id=.r3. of row 3 of .*train-0.parquet"):
        check_training_files(data, "prompt_id", judge_route=None)


def test_patterns(tmp_path):
    folder = fill(tmp_path / "a", "b-1.parquet", "b-0.parquet", "c.parquet")
    fill(tmp_path / "a/deep", "b-2.parquet")
    both = [f"{folder}/b-0.parquet", f"{folder}/b-1.parquet"]
    assert listed(f"{folder}/b-*.parquet", f"{folder}/c.parquet") == (both, f"{folder}/c.parquet")
    assert listed([f"{folder}/**/b-[02].parquet"], None) == ([both[0], f"{folder}/deep/b-2.parquet"], None)
    strange = fill(tmp_path / "[x]", "a.parquet") + "/a.parquet"
    assert listed(strange, None) == (strange, None)
    with pytest.raises(ConfigError, match=r"^data.val_files: no file is matched by .*/d\*.parquet$"):
        listed(strange, [f"{folder}/d*.parquet"])


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """What two downloads left behind, and no network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for module in (huggingface_hub.constants, datasets.config):
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    repository = tmp_path / "hub/datasets--own--files"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("c0ffee")
    fill(repository / "snapshots/c0ffee/data", "train-1.parquet", "train-0.parquet", "test-0.parquet")
    own = {name: f"{fill(tmp_path, f'{name}.parquet')}/{name}.parquet" for name in ("train", "test")}
    datasets.load_dataset("parquet", data_files=own, cache_dir=tmp_path / "built")
    (built,) = (tmp_path / "built/parquet").glob("default-*")
    kept = tmp_path / "datasets/own___my_set/default"
    shutil.copytree(built, kept)
    for file in kept.rglob("parquet-*.arrow"):
        file.rename(file.with_name(file.name.replace("parquet-", "my_set-")))
    return str(repository / "snapshots/c0ffee/data")


def test_files_of_a_revision(caches, tmp_path):
    repository = tmp_path / "hub/datasets--own--files"
    for revision in ("refs/convert/parquet", "refs/pr/1", "v1", "a/b"):
        ref = repository / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text("c0ffee")
    for written in ("refs/convert/parquet", "refs%2Fconvert%2Fparquet", "refs/pr/1", "v1", "a%2Fb"):
        assert listed(f"hf://datasets/own/files@{written}/data/test-*.parquet", None)[0] == [f"{caches}/test-0.parquet"]


def test_a_conversion_of_files_of_the_hub(caches, tmp_path):
    source = "hf://datasets/own/files/data/train-*.parquet"
    results = convert(ConvertSettings(name="verl", source=source, out=str(tmp_path / "out")))
    assert [(result.path.name, result.kept) for result in results] == [("train-0.parquet", 1), ("train-1.parquet", 1)]


class Hub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RevisionNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("entry", ["far/away@v7", "hf://datasets/far/away@v7/x.parquet"])
def test_a_revision_that_there_is_not(closed_hub, monkeypatch, entry: str):
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for module in (huggingface_hub.constants, huggingface_hub.hf_api.constants):
            monkeypatch.setattr(module, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(ConfigError, match=r"and the hub has no revision v7 of it$"):
            listed(entry, None)
        server.shutdown()


def test_data_sets_of_the_hub(caches, tmp_path):
    train = [f"{caches}/train-0.parquet", f"{caches}/train-1.parquet"]
    assert listed("hf://datasets/own/files/data/train-*.parquet", None) == (train, None)
    (file,), val = listed(["own/MySet"], "own/MySet")
    found = [pq.read_table(path)["prompt_id"].to_pylist() for path in (file, *val)]
    assert found == [["train.parquet-0"], ["test.parquet-0"]]
    assert listed(["own/MySet"], None) == ([file], None)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("own/none", "own/none is neither a file or folder here nor in the hub's cache, and HF_HUB_OFFLINE is set"),
        ("hf://datasets/own/none/x.parquet", "own/none is neither a file or folder here nor in the hub's cache, and "),
        ("hf://datasets/own/files/x-*.parquet", "own/files has no .parquet, .json or .jsonl file x-*.parquet"),
        ("hf://datasets/own/files", "hf://datasets/own/files names no file; expected hf://datasets/OWNER/NAME/FILE"),
        ("own/MySet:other", "own/MySet can't be loaded: "),
    ],
)
def test_what_the_caches_do_not_have(caches, entry: str, message: str):
    with pytest.raises(ConfigError) as error:
        listed(entry, None)
    assert str(error.value).startswith(f"data.train_files: {message}") and "\n" not in str(error.value)


def test_a_data_set_without_network(closed_hub):
    for entry in ("far/away", "far/away:main", "hf://datasets/far/away/x.parquet"):
        with pytest.raises(ConfigError) as error:
            listed(entry, None)
        assert str(error.value) == (
            "data.train_files: far/away is neither a file or folder here nor in the hub's cache, and the hub can't be "
            "reached ([Errno 111] Connection refused)"
        )
