"""A hub with the data sets of a folder, as far as its clients ask it."""

import hashlib
from pathlib import Path
from typing import Any

from aiohttp import web

COMMIT = "a" * 40


class FakeHub:
    """``app()`` serves ``root/<owner>/<name>``; ``downloads`` are the files that were sent."""

    def __init__(self, root: Path):
        self.root = root
        self.downloads: list[str] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/datasets/{owner}/{name}", self._info)
        app.router.add_get("/api/datasets/{owner}/{name}/revision/{revision}", self._info)
        app.router.add_get("/api/datasets/{owner}/{name}/tree/{revision}{path:.*}", self._tree)
        app.router.add_get("/datasets/{owner}/{name}/resolve/{revision}/{path:.+}", self._file)
        return app

    def _folder(self, request: web.Request) -> Path:
        return self.root / request.match_info["owner"] / request.match_info["name"]

    def _info(self, request: web.Request) -> web.Response:
        folder = self._folder(request)
        files = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
        about: dict[str, Any] = {"id": "/".join(folder.parts[-2:]), "sha": COMMIT, "private": False, "tags": []}
        siblings = [{"rfilename": name} for name in files]
        return web.json_response(about | {"downloads": 0, "likes": 0, "siblings": siblings})

    def _tree(self, request: web.Request) -> web.Response:
        folder = self._folder(request)
        inner = folder / request.match_info["path"].strip("/")
        found = inner.rglob("*") if request.query.get("recursive") == "true" else inner.glob("*")
        return web.json_response([_entry(path, folder) for path in sorted(found)])

    def _file(self, request: web.Request) -> web.Response:
        path = self._folder(request) / request.match_info["path"]
        if not path.is_file():
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        content = path.read_bytes()
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(len(content))})
        self.downloads.append(path.name)
        return web.Response(body=content, headers=headers)


def _entry(path: Path, folder: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        return {"type": "directory", "path": name, "size": 0, "oid": "0"}
    content = path.read_bytes()
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
