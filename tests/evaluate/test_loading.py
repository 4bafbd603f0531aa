"""Local copies, what is wrong with them, and a hub that gives nothing: one line each, with data set and remedy."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import datasets
import huggingface_hub.constants
import pytest
from aiohttp import web

from recipe.zppo.benchmarks.contract import Benchmark, Question, Source
from recipe.zppo.benchmarks.loading import BadRow, Questions
from recipe.zppo.errors import DataError
from tests.evaluate.fake_hub import FakeHub
from tests.evaluate.small import PICTURES, TEXT, png, sums, text_questions, write_jsonl, write_pictures

CARD = """---
configs:
- config_name: easy
  data_files:
  - split: test
    path: easy/*.parquet
- config_name: hard
  data_files: [{split: test, path: hard.jsonl}]
---
"""


def ids(benchmark: Benchmark, data: Path, **options: int) -> list[str]:
    return [each.id for each in Questions(benchmark, str(data), **options)]


def with_source(benchmark: Benchmark, **changes: object) -> Benchmark:
    return replace(benchmark, source=replace(benchmark.source, **changes))


def test_names_of_files_say_config_and_split(tmp_path: Path):
    """Without a card; several configs in their order, in folders of their own."""
    for config, start in (("b", 0), ("a", 2)):
        rows = [row | {"id": f"{config}{start + i}"} for i, row in enumerate(sums(2))]
        write_jsonl(tmp_path / f"own/sums/{config}/test-00000.jsonl", rows)
        write_jsonl(tmp_path / f"own/sums/{config}/testmini-00000.jsonl", sums(1))
    benchmark = with_source(TEXT, configs=("b", "a"))
    questions = list(Questions(benchmark, str(tmp_path)))
    assert [(each.id, each.category) for each in questions] == [("b0", "b"), ("b1", "b"), ("a2", "a"), ("a3", "a")]
    with pytest.raises(DataError, match=r"own/sums: no file of the split dev in .*/own/sums/b; hf download"):
        Questions(with_source(benchmark, split="dev"), str(tmp_path))
    with pytest.raises(DataError, match=r"own/sums: there is no folder .*/own/sums/c; hf download"):
        Questions(with_source(benchmark, configs=("b", "c")), str(tmp_path))


def test_a_card_says_it(tmp_path: Path):
    folder = tmp_path / "own/sums"
    write_jsonl(folder / "hard.jsonl", sums(2))
    write_pictures(folder / "easy/any-name.parquet", [png()])
    (folder / "README.md").write_text(CARD)
    assert ids(with_source(TEXT, configs=("easy", "hard")), tmp_path) == ["p0", "s0", "s1"]
    with pytest.raises(
        DataError, match=r"own/sums: BuilderConfig 'middle' not found\. Available: \['easy', 'hard'\]; "
    ):
        Questions(with_source(TEXT, configs=("middle",)), str(tmp_path))
    with pytest.raises(DataError, match=r"own/sums: there is no split dev in config hard; it has test"):
        Questions(with_source(TEXT, configs=("hard",), split="dev"), str(tmp_path))


def test_what_concerns_all_rows_is_said_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with pytest.raises(
        DataError, match=r"own/sums: there is no folder .*; hf download --repo-type dataset own/sums --lo"
    ):
        Questions(TEXT, str(tmp_path))
    path = write_jsonl(tmp_path / "own/sums/test.jsonl", [{"id": "a", "prompt": "1 + 1 = ?", "answer": "2"}])
    with pytest.raises(
        DataError, match=r"own/sums: column question is missing; it has id, prompt, answer; is it anoth"
    ):
        ids(TEXT, tmp_path)
    with pytest.raises(DataError, match=r"^own/sums, row 0: there is no 'question'$"):
        ids(with_source(TEXT, columns=()), tmp_path)
    write_jsonl(path, [*sums(2), *sums(1)])
    with pytest.raises(DataError, match=r"own/sums, row 2: a second question with the id s0; correct it in a"):
        ids(TEXT, tmp_path)
    path.write_text('{"id": "a"')
    with pytest.raises(DataError, match=r"^own/sums: .*/test\.jsonl can't be read: .*; download it again$"):
        ids(TEXT, tmp_path)
    assert capfd.readouterr().err == ""


def test_a_bad_row_stands_in_its_place(tmp_path: Path):
    rows = sums(4, options=["1", "2"])
    rows[1]["options"] = ["1", " "]
    rows[2] = {"id": "s2", "question": None, "answer": "3", "options": ["1"]}
    write_jsonl(tmp_path / "own/sums/test.jsonl", rows)

    def questions(row, config, place):
        if row["question"] is None:
            raise DataError("column question is empty")
        yield from text_questions(row, config, place)

    found = list(Questions(replace(TEXT, questions=questions), str(tmp_path)))
    assert [isinstance(each, Question) for each in found] == [True, False, False, True]
    assert found[1] == BadRow("s1", "own/sums, row 1: option B is empty; correct it in a local copy")
    assert found[2] == BadRow("row 2", "own/sums, row 2: column question is empty")


def test_a_subset_is_drawn_by_the_ids(tmp_path: Path):
    """The same for every model, in the order of the source, and a part of every larger one."""
    write_jsonl(tmp_path / "own/sums/test.jsonl", sums(50))
    few, more = ids(TEXT, tmp_path, limit=5, seed=1), ids(TEXT, tmp_path, limit=20, seed=1)
    assert len(few) == 5 and set(few) < set(more) and few == [id for id in more if id in few]
    assert ids(TEXT, tmp_path, limit=5, seed=2) != few
    assert ids(TEXT, tmp_path, limit=99) == ids(TEXT, tmp_path)


def test_rows_point_to_files_of_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "own/clips"
    write_jsonl(folder / "test.jsonl", [{"id": "a", "file": "one.mp4"}, {"id": "b", "file": "gone.mp4"}])
    with zipfile.ZipFile(folder / "clips_1.zip", "w") as archive:
        archive.writestr("deep/videos/one.mp4", b"film")

    def questions(row, config, place):
        if row["file"] is None:
            raise DataError("column file: there is no such video")
        part = {"type": "video", "video": row["file"]}
        yield Question(row["id"], [{"role": "user", "content": [part]}], "")

    source = Source(
        "own/clips", "test", files=("clips_*.zip",), row_files=lambda row, part: {"file": f"videos/{row['file']}"}
    )
    benchmark = replace(TEXT, source=source, questions=questions)
    monkeypatch.chdir(tmp_path)
    for data in (str(tmp_path), "."):  # unpacked once
        first, second = Questions(benchmark, data)
        assert Path(first.messages[0]["content"][0]["video"]).read_bytes() == b"film"
        assert second == BadRow("row 1", "own/clips, row 1: column file: there is no such video")
    (folder / "clips_2.zip").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"own/clips: .*clips_2\.zip is damaged"):
        Questions(benchmark, str(tmp_path))
    (folder / "clips_1.zip").unlink()
    (folder / "clips_2.zip").unlink()
    with pytest.raises(DataError, match=r"own/clips: none of clips_\*\.zip in "):
        Questions(benchmark, str(tmp_path))


def test_relative_paths_stay_in_the_data_set(tmp_path: Path):
    folder = tmp_path / "own/pictures"
    rows = [{"id": "in", "image": "images/a.png"}, {"id": "out", "image": "../../secret.png"}]
    write_jsonl(folder / "test.jsonl", [row | {"question": "?", "answer": "red"} for row in rows])
    found = list(Questions(PICTURES, str(tmp_path)))
    assert found[0].messages[0]["content"][0]["image"] == str(folder / "images/a.png")
    assert "leads out of the data set" in found[1].error


# ---------------------------------------------------------------------- the hub


@pytest.fixture
def gated_hub(serve: Callable[[web.Application], str]) -> str:
    """It has the set, and no rights for us."""

    async def gated(request: web.Request) -> web.Response:
        return web.json_response({"error": "restricted"}, status=403, headers={"X-Error-Code": "GatedRepo"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", gated)
    return serve(app)


def test_a_hub_that_gives_nothing(gated_hub: str, closed_hub: None, monkeypatch: pytest.MonkeyPatch):
    remedy = "hf download --repo-type dataset own/sums --local-dir FOLDER/own/sums and data=FOLDER gives a local copy"

    def said() -> str:
        with pytest.raises(DataError) as error:
            Questions(TEXT)
        return str(error.value)

    assert said() == f"own/sums: the hub can't be reached; {remedy}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", gated_hub)
    assert said() == (
        "own/sums: access is missing; agree to its terms on https://huggingface.co/datasets/own/sums, then "
        "hf auth login"
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert said() == f"own/sums: not in the hub's cache, and HF_HUB_OFFLINE is set; unset it, or {remedy}"


def test_the_hub_s_files_are_loaded_once(
    tmp_path: Path, serve: Callable[[web.Application], str], closed_hub: None, monkeypatch: pytest.MonkeyPatch
):
    """What is asked for and no more; then without network, and for a second model."""
    hub = FakeHub(tmp_path / "hub")
    folder = tmp_path / "hub/own/sums"
    write_jsonl(folder / "hard.jsonl", sums(2))
    write_pictures(folder / "easy/any-name.parquet", [png()])
    (folder / "README.md").write_text(CARD)
    (folder / "large.bin").write_bytes(b"of no use")
    address = serve(hub.app())
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", address)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    benchmark = with_source(TEXT, configs=("easy", "hard"), columns=())
    for offline in (False, False, True):
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
        assert [each.id for each in Questions(benchmark)] == ["p0", "s0", "s1"]
        assert sorted(hub.downloads) == ["README.md", "any-name.parquet", "hard.jsonl"]
    with pytest.raises(DataError, match=r"there is no split dev in config easy; it has test"):
        Questions(with_source(benchmark, split="dev"))
