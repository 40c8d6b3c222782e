"""Starts a server for all tests: $LOSSD, or build/lossd. With LOSSD_CLIENTS=all, a missing extra is
a failure instead of a skip."""
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lossd
from lossd import _library

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / os.environ.get("LOSSD", "build/lossd")
LIBRARY = PROGRAM.with_name("lossd-local.so")

# The library that was built with the program, and no other. It is not built for the sanitizers,
# which Python would have to be started with.
os.environ.setdefault("LOSSD_LIBRARY", str(LIBRARY))


def start(*arguments):
    """Starts a server on a free port. Returns its process and its URL."""
    listen = () if "--listen" in arguments else ("--listen", "127.0.0.1:0")
    process = subprocess.Popen(
        [PROGRAM, "--threads", "2", "--log-level", "warning", *listen, *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    assert " listening on " in line, f"{PROGRAM} did not start: {line!r}"
    return process, line.split(" listening on ")[1].split()[0]


def stop(process):
    process.terminate()
    process.stdout.close()
    assert process.wait(30) == 0


@pytest.fixture(scope="session")
def url():
    process, address = start()
    yield address
    stop(process)


@pytest.fixture
def client(url):
    with lossd.Client(url) as client:
        yield client


@pytest.fixture(params=["server", "local:"])
def default_client(request, url):
    """The client of functions that have none of their own: one of the server, then one without."""
    if request.param == "local:" and not _library.is_installed():
        pytest.skip(f"{LIBRARY} is not built")
    lossd.set_default_client(lossd.Client(url if request.param == "server" else request.param))
    yield
    lossd.default_client().close()
    lossd.set_default_client(None)


def library():
    """Returns the environment variable that names the library for evaluations in the process."""
    return {"LOSSD_LIBRARY": os.environ["LOSSD_LIBRARY"]}


def need_library():
    """Skips the test file if the library is not built."""
    if not _library.is_installed():
        pytest.skip(f"{LIBRARY} is not built", allow_module_level=True)


def run_python(source, url):
    """Runs a program in a new interpreter, with the URL of the server as its argument."""
    subprocess.run(
        [sys.executable, "-B", "-c", source, url],
        check=True,
        timeout=60,
        env={"PYTHONPATH": str(ROOT / "clients/python/src"), **library()},
    )


def need(module):
    """Imports a module, or skips the test file."""
    if os.environ.get("LOSSD_CLIENTS") == "all":
        return importlib.import_module(module)
    return pytest.importorskip(module)
