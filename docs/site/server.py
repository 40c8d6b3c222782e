"""Starts a lossd for the duration of a block, and sends requests to it. Needs only the standard
library."""
import contextlib
import http.client
import json
import os
import re
import subprocess

URL_IN_TEXT = "http://127.0.0.1:8080"  # the server's address in the documentation


class Lossd:
    def __init__(self, port):
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path, body=None):
        """Returns the status and the body of the response."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self.connection.request(
            "POST" if body is not None else "GET",
            path,
            None if body is None else json.dumps(body),
            headers,
        )
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def json(self, path, body=None):
        status, text = self.ask(path, body)
        if status != 200:
            raise SystemExit(f"{path}: unexpected status {status}: {text}")
        return json.loads(text)


@contextlib.contextmanager
def lossd(program):
    process = subprocess.Popen(
        [program, "--listen", "127.0.0.1:0", "--log-level", "warning"],
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("LOSSD_")},
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if not found:
            raise SystemExit(f"{program} did not start: {line!r}")
        yield Lossd(int(found[1]))
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()
