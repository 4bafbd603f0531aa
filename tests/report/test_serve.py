import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from recipe.zppo.report.serve import Live, PortError, bound
from recipe.zppo.run.event_log import EventLog
from recipe.zppo.run.folder import RunFolder
from tests.view.synthetic_run import write_run

from .conftest import plain


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", steps=2, total_steps=9, new=6, replayed=2)


@pytest.fixture
def server(run: Path) -> Iterator[ThreadingHTTPServer]:
    with bound(Live([RunFolder(run)]), 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: ThreadingHTTPServer, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*server.server_address, timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_the_page_is_kept_current(run: Path, server: ThreadingHTTPServer):
    status, text = get(server, "/")
    assert status == 200 and "connect-src 'self'" in text
    before = json.loads(get(server, "/report.json")[1])
    assert before["live"] and before["runs"][0]["texts"] == {} and before["runs"][0]["head"][0]["value"] == "2 of 9"
    assert get(server, "/report.json", **{"If-None-Match": before["version"]}) == (304, "")
    log = EventLog(str(run / "events.jsonl"))
    log.resume(2)
    log.log({"zppo/accuracy/new": 0.5}, 3)
    log.finish()
    threading.Event().wait(1)  # numbers are put together for half of the time at most
    after = json.loads(get(server, "/report.json", **{"If-None-Match": before["version"]})[1])
    assert after["runs"][0]["head"][0]["value"] == "3 of 9"


def test_any_question_can_be_read_in_full(run: Path, server: ThreadingHTTPServer):
    line = plain(run / "rollouts/step_000001.jsonl")[-1]
    status, text = get(server, f"/question.json?run=0&id={line['prompt_id']}")
    assert status == 200
    group = json.loads(text)["draws"][0]["groups"][-1]
    assert [response["text"] for response in group["responses"]] == [each["text"] for each in line["responses"]]
    for wrong in ("/question.json?id=none", "/question.json?run=7&id=a", "/question.json?run=x", "/etc/passwd"):
        assert get(server, wrong)[0] == 404
    assert get(server, "/report.json", Host="elsewhere.example")[0] == 403


def test_a_port_that_is_taken(run: Path, server: ThreadingHTTPServer):
    for port, reason in {server.server_port: "Address already in use", 70_000: "not a port"}.items():
        with pytest.raises(PortError, match=rf"--port {port}: {reason}"):
            bound(Live([RunFolder(run)]), port)


def test_ctrl_c_ends_it(run: Path):
    command = [sys.executable, "-m", "recipe.zppo.report", str(run), "--serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        try:
            out, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, error) == (0, "no longer served; the run goes on\n", "")
