"""The measured processes: drivers, which answer lines, and servers, which answer requests. All end
with the bench."""
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import time

PYTHON = "/usr/bin/python3"  # Debian's Python, for which the peers' packages are installed
LIBC = ctypes.CDLL(None)
HERE = os.path.dirname(os.path.abspath(__file__))


class NotMeasured(Exception):
    """A row has no number. The message is printed instead."""

    def __init__(self, text, fatal=True, is_missing=False):
        super().__init__(text)
        self.text, self.fatal, self.is_missing = text, fatal, is_missing


def missing(package):
    return NotMeasured(f"missing: {package} (make bench-deps)", is_missing=True)


def die_with_parent():
    """Runs in the child: the kernel sends it SIGTERM when the bench exits for any reason."""
    pr_set_pdeathsig = 1
    LIBC.prctl(pr_set_pdeathsig, signal.SIGTERM)


@contextlib.contextmanager
def running(command, log, env=None, **streams):
    """Runs a process in its own process group, and ends the group afterwards."""
    with open(log, "wb") as output:
        streams = {"stdin": subprocess.DEVNULL, "stdout": output, **streams}
        process = subprocess.Popen(
            command,
            stderr=output,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            preexec_fn=die_with_parent,
            **streams,
        )
    try:
        yield process
    finally:
        for how, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # processes that the leader left running


class Driver:
    """A program that answers each line with one line of JSON."""

    def __init__(self, process, log):
        self.process, self.log = process, log

    def ask(self, *words):
        if self.process is None:
            raise missing(self.log)
        try:
            self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise NotMeasured(f"failed: a driver exited; see {self.log}")
        answer = json.loads(line)
        if "missing" in answer:
            raise missing(answer["missing"])
        if "unsupported" in answer:
            raise NotMeasured(f"not measured: {answer['unsupported']}", fatal=False)
        if "error" in answer:
            raise NotMeasured(f"failed: {answer['error']}")
        return answer


@contextlib.contextmanager
def driver(command, log, env=None, package=None):
    """`package` is the missing package if the program does not exist."""
    if package and not os.path.exists(command[0]):
        yield Driver(None, package)
        return
    with running(command, log, env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Driver(process, log)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(process, port, log, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    raise NotMeasured(f"failed: a server did not start; see {log}")


class Server:
    def __init__(self, pid, port):
        self.pid, self.port = pid, port

    def memory(self, what):
        """Returns VmHWM or VmRSS in bytes."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(what + ":"):
                    return int(line.split()[1]) * 1024
        raise NotMeasured(f"failed: /proc has no {what}")

    def forget_peak(self):
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")


@contextlib.contextmanager
def lossd(build, folder, threads, io_threads):
    log, port = os.path.join(folder, "lossd.log"), free_port()
    command = [
        os.path.join(build, "lossd"),
        "--listen",
        f"127.0.0.1:{port}",
        "--threads",
        str(threads),
        "--io-threads",
        str(io_threads),
        "--log-level",
        "warning",
    ]
    with running(command, log) as process:
        wait_for_port(process, port, log)
        yield Server(process.pid, port)


@contextlib.contextmanager
def bare(build, folder):
    log, port = os.path.join(folder, "bare.log"), free_port()
    with running([os.path.join(build, "bench", "bare"), str(port)], log) as process:
        wait_for_port(process, port, log)
        yield Server(process.pid, port)


@contextlib.contextmanager
def fastapi_peer(folder):
    modules = {"torch": "python3-torch", "fastapi": "python3-fastapi", "uvicorn": "python3-uvicorn"}
    probe = "import importlib.util as u; print(*[m for m in %r if not u.find_spec(m)])" % list(
        modules
    )
    absent = subprocess.run(
        [PYTHON, "-c", probe], capture_output=True, text=True, check=True
    ).stdout.split()
    if absent:
        raise missing(" ".join(modules[module] for module in absent))
    log, port = os.path.join(folder, "fastapi.log"), free_port()
    with running([PYTHON, os.path.join(HERE, "peer_fastapi.py"), str(port)], log) as process:
        wait_for_port(process, port, log)
        yield Server(process.pid, port)


NGINX = """
daemon off;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{ return 200 '{answer}'; }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(folder, workers, answer):
    program = next(
        (
            path
            for path in ("/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx")
            if os.path.exists(path)
        ),
        None,
    )
    if not program:
        raise missing("nginx")
    log, port = os.path.join(folder, "nginx.log"), free_port()
    config = os.path.join(folder, "nginx.conf")
    with open(config, "w", encoding="ascii") as file:
        user = "user root;" if os.geteuid() == 0 else ""
        file.write(
            NGINX.format(workers=workers, folder=folder, user=user, port=port, answer=answer)
        )
    with running([program, "-c", config, "-e", log], log) as process:
        wait_for_port(process, port, log)
        yield Server(process.pid, port)


class Client:
    """One kept-alive connection. The measured time covers only sending and receiving."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(1 << 20)

    def close(self):
        self.socket.close()

    def post(self, path, body, headers="Content-Type: application/json\r\n"):
        """Returns the nanoseconds and the body of the response."""
        headers = f"Host: 127.0.0.1\r\n{headers}Content-Length: {len(body)}\r\n"
        head = f"POST {path} HTTP/1.1\r\n{headers}\r\n".encode()
        start = time.perf_counter_ns()
        self.socket.sendall(head)
        self.socket.sendall(body)
        have, want, begin = 0, None, 0
        while want is None or have < want:
            view = memoryview(self.buffer)
            got = self.socket.recv_into(view[have:])
            view.release()
            if not got:
                raise NotMeasured("failed: the server closed the connection")
            have += got
            if want is None:
                begin, want = self._length(have)
            if have == len(self.buffer):
                self.buffer.extend(bytes(max(have, (want or 0) - have)))
        elapsed = time.perf_counter_ns() - start
        answer = bytes(self.buffer[begin:want])
        if not self.buffer.startswith(b"HTTP/1.1 200"):
            raise NotMeasured(f"failed: unexpected response {answer[:200]!r}")
        return elapsed, answer

    def _length(self, have):
        """Returns the start and the end of the body, once the headers are complete."""
        end = self.buffer.find(b"\r\n\r\n", 0, have)
        if end < 0:
            return 0, None
        for line in bytes(self.buffer[:end]).split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return end + 4, end + 4 + int(value)
        raise NotMeasured("failed: a response without Content-Length")
