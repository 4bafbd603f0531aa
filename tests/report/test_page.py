"""The file: whole, closed to the network, and text from models nothing but text."""

import base64
import hashlib
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from recipe.zppo.report import __main__ as command
from recipe.zppo.report.page import as_json, page
from recipe.zppo.report.payload import report
from recipe.zppo.report.pictures import WIDTH, pictures
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.view.question_life import Draw, Life

from .conftest import HOSTILE, MARKUP


@pytest.fixture(scope="module")
def written(hostile: Path) -> str:
    return page(report([RunFolder(hostile)]))


def test_the_command_writes_one_file(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "page.html"
    assert command.main([str(finished), str(finished), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n" and list(tmp_path.iterdir()) == [out]
    content = json.loads(re.search(r'id="payload">(.*?)</script>', out.read_text(), re.DOTALL)[1])
    assert [run["title"] for run in content["runs"]] == ["finished · ZPPO"], "the same folder is there once"


def test_no_text_becomes_markup(written: str):
    assert written.count("<script") == written.count("</script>") == 3
    assert "window.owned" not in written.replace("\\u003c", "<"), "texts are packed"
    assert as_json({"text": MARKUP}).count("<") == 0 and json.loads(as_json(MARKUP)) == MARKUP
    assert as_json("\ud800") == '"?"'
    assert "<title>&lt;/title&gt;" in page({"runs": [{"title": "</title>"}]})
    assert len(written) < 2_000_000 < len(HOSTILE) * 8, "a megabyte is cut"


def test_the_policy_allows_these_scripts_and_no_address(written: str):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', written)[1]
    scripts = re.findall(r"<script>(.*?)</script>", written, re.DOTALL)
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts}
    rules = {name: set(values) for name, *values in map(str.split, policy.split(";"))}
    assert rules["script-src"] == hashes and len(hashes) == 2
    assert rules["default-src"] == rules["connect-src"] == {"'none'"} and rules["img-src"] == {"data:"}
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", written.split('id="payload"')[0])


def test_pictures_come_from_the_data_file(finished: Path, tmp_path: Path):
    path = tmp_path / "picture.png"
    Image.new("RGB", (900, 300), "red").save(path)
    rows = [
        {"images": None},
        {"images": [{"bytes": path.read_bytes(), "path": None}, {"bytes": b"none", "path": None}]},
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "a file row.parquet")

    def life(name: str, place: str) -> Life:
        return Life(name, [Draw(1, {"media": ["image", "image"], "place": place})])

    asked = [life("seen", f"{tmp_path}/a file row.parquet row 1"), life("gone", "gone.parquet row 1"), life("odd", "x")]
    found = pictures(RunFolder(finished), asked)
    assert list(found) == ["seen"] and len(found["seen"]) == 1
    (tmp_path / "small.webp").write_bytes(base64.b64decode(found["seen"][0].partition(",")[2]))
    assert Image.open(tmp_path / "small.webp").size == (WIDTH, 107)
