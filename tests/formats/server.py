"""Starts lossd for the programs in this folder, and sends requests to it."""
import http.client
import json
import subprocess


class Server:
    """A server on a free port, which runs until it is closed."""

    def __init__(self, lossd, *options):
        self.process = subprocess.Popen(
            [lossd, "--listen", "127.0.0.1:0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        self.port = int(line.split("http://127.0.0.1:")[1].split()[0].rstrip(",;/"))
        self.connection = None

    def ask(self, method, path, body=None, headers=()):
        """Returns the status and the body of the response. Headers are pairs; names can be
        repeated."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            self.connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                self.connection.putheader(name, value)
            if body is not None:
                self.connection.putheader("Content-Length", str(len(body)))
            self.connection.endheaders(body)
            response = self.connection.getresponse()
            answer = response.status, response.read()
            if response.will_close:
                self.connection.close()
                self.connection = None
            return answer
        except (OSError, http.client.HTTPException):
            self.connection = None
            raise

    def post(self, path, body, content_type="application/json", headers=()):
        return self.ask("POST", path, body, [("Content-Type", content_type), *headers])

    def close(self):
        if self.connection:
            self.connection.close()
        self.process.terminate()
        return self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def detail_of(body):
    """Returns the message of an error: `detail` of a problem, or `error` in the Open Inference
    Protocol."""
    answer = json.loads(body.decode("utf-8", "strict"))
    return answer["detail"] if "detail" in answer else answer["error"]
