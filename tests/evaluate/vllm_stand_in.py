"""Stands in for the command `vllm`: takes its arguments, and does what the environment variable STAND_IN says."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

arguments = sys.argv[1:]
options = {
    name: arguments[at + 1] for at, name in enumerate(arguments) if name.startswith("--") and at + 1 < len(arguments)
}


class Handler(BaseHTTPRequestHandler):
    def _send(self, content: dict) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self._send({"data": [{"id": options["--served-model-name"]}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = '{"verdict": "correct"}' if body["model"] == "judge" else "one"
        choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        self._send({"choices": [choice], "usage": {"completion_tokens": 3}})

    def log_message(self, *_: object) -> None: ...


with open(os.environ["STAND_IN_LOG"], "a") as log:
    print(json.dumps([os.getpid(), *arguments]), file=log)
if os.environ["STAND_IN"] == "fails":
    print("ValueError: No supported config format found in nowhere")
    print("bye")
    sys.exit(3)
if os.environ["STAND_IN"] == "hangs":
    time.sleep(600)
HTTPServer((options["--host"], int(options["--port"])), Handler).serve_forever()
