"""Onto the hub: refused in one line before anything is merged, or sent. The hub is a small server of this test."""

import base64
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import close_session, get_session

from recipe.zppo.errors import ExportError
from recipe.zppo.export.hub import connect, push
from tests.export.conftest import Finished

TOKEN = "hf_good"


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does to `whoami`, to making a repository, and to a commit of small files."""

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.answer({"error": "Invalid username or password."}, 401)
        elif self.path == "/api/whoami-v2":
            self.answer({"type": "user", "name": "me", "auth": {"accessToken": {"role": "write"}}})
        elif self.server.private is None:
            self.answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        else:
            self.answer({"id": "me/mine", "private": self.server.private, "sha": "0" * 40, "siblings": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            self.server.made.append(json.loads(body))
            if self.server.private is None:
                self.server.private = bool(self.server.made[-1].get("private") or "visibility" in self.server.made[-1])
            self.answer({"url": f"{self.server.address}/me/mine", "id": "me/mine"})
        elif self.path.endswith("/preupload/main"):
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif self.server.full:
            self.answer({"error": "Storage limit reached"}, 403)
        else:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer(
                {"commitUrl": f"{self.server.address}/me/mine/commit/1", "commitOid": "1" * 40, "success": True}
            )

    def answer(self, content: dict, status: int = 200, headers: dict | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[ThreadingHTTPServer]:
    caplog.set_level(logging.WARNING, "httpx")  # or it is on stderr once a test before has set up logging
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.made, server.files, server.full, server.private = [], {}, False, None
    server.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    close_session()


@pytest.fixture
def saved(finished: Finished) -> Finished:
    finished.verl(3)
    finished.forget()
    return finished


def test_a_folder_is_sent_whole(saved: Finished, zppo, hub, tmp_path: Path) -> None:
    said = zppo(saved.folder, "--to", tmp_path / "out", "--push", "me/mine", "--private")
    assert said.splitlines()[-1] == f"{hub.address}/me/mine"
    (made,) = hub.made
    assert made["name"] == "mine" and (made.get("private") or made.get("visibility") == "private")
    assert hub.files == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert b'from_pretrained("me/mine")' in hub.files["README.md"]


def test_what_the_hub_refuses_stays_here(saved: Finished, zppo, hub, tmp_path: Path) -> None:
    hub.full = True
    said = zppo(saved.folder, "--to", tmp_path / "out", "--push", "me/mine", status=1)
    assert said.startswith("--push me/mine: ") and said.endswith(f"hf upload me/mine {tmp_path / 'out'}")
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_what_shall_be_private_is_not_sent_to_a_public_repository(hub, tmp_path: Path) -> None:
    folder = tmp_path / "my models" / "out"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    api = connect("me/mine", private=True)  # there is none yet
    hub.full = True
    with pytest.raises(ExportError, match=f"hf upload me/mine '{folder}' --private$"):
        push(api, folder, "me/mine", private=True)
    hub.private, hub.full = False, False
    message = "--private: me/mine is a public repository already"
    with pytest.raises(ExportError, match=message):
        connect("me/mine", private=True)
    with pytest.raises(ExportError, match=message):
        push(api, folder, "me/mine", private=True)
    assert hub.files == {}
    push(connect("me/mine"), folder, "me/mine", private=False)
    assert hub.files == {"config.json": b"{}"}


@pytest.mark.parametrize("name", ["mine", "me/mine/yours", "me/--mine", "me/mine.git"])
def test_names_that_can_not_be(saved: Finished, zppo, name: str) -> None:
    assert zppo(saved.folder, "--push", name, status=2).startswith(f"--push {name}: ")
    assert not (saved.folder / "export").exists()


def test_without_token_or_network(saved: Finished, zppo, hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused() -> str:
        said = zppo(saved.folder, "--push", "me/mine", status=2)
        assert not (saved.folder / "export").exists() and TOKEN not in said
        return said.removeprefix("--push me/mine: ")

    monkeypatch.setenv("HF_TOKEN", "hf_bad")
    assert refused() == "the hub does not take the token; log in again with `hf auth login`"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.shutdown()
    hub.server_close()
    assert refused().startswith(f"{hub.address} can't be reached (ConnectError")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert refused() == "there is no token; log in with `hf auth login`, or set HF_TOKEN"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refused() == "HF_HUB_OFFLINE is set, so nothing is sent to the hub; unset it"


def test_private_without_push(saved: Finished, zppo) -> None:
    assert zppo(saved.folder, "--private", status=2).startswith("--private: nothing is pushed; add --push")


def test_the_hub_is_not_waited_for_without_limit(hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own client would wait for ever."""
    assert isinstance(connect("me/mine"), HfApi)
    assert get_session().timeout.read == 30 and get_session().timeout.connect == 30
