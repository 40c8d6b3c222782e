"""Runs the snippets of the README, and installs the wheel."""
import os
import re
import subprocess
import sys
import zipfile

import pytest

import lossd
from conftest import ROOT, need, need_library

HERE = ROOT / "clients/python"
SNIPPETS = re.findall(r"```python\n(.*?)```", (HERE / "README.md").read_text("utf-8"), re.S)


def run(python, snippet, url, folder, **environment):
    code = snippet.replace("http://127.0.0.1:8080", url)
    done = subprocess.run(
        [python, "-B", "-W", "error", "-c", code],
        cwd=folder,
        env={**os.environ, "LOSSD_URL": url, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.strip().splitlines()[-1])
def test_snippets_run(snippet, url, tmp_path):
    for module in re.findall(r"^(?:import|from) (torch|sklearn|xgboost)\b", snippet, re.M):
        need(module)
    if "local" in snippet:
        need_library()
    run(sys.executable, snippet, url, tmp_path, PYTHONPATH=str(HERE / "src"))


def test_quick_start_output(url, tmp_path):
    printed = run(sys.executable, SNIPPETS[0], url, tmp_path, PYTHONPATH=str(HERE / "src"))
    assert (
        printed
        == "0.16666666666666666 [-0.33333333  0.33333333  0.        ]\n"
        "target[0] is 2; class indices must be in [0, 2), or -100 to be ignored /target/0\n"
    )


def test_wheel_installs_into_a_new_environment(url, tmp_path):
    for module, package in (
        ("venv, ensurepip", "python3-venv"),
        ("pip", "python3-pip"),
        ("setuptools", "python3-setuptools"),
        ("wheel", "python3-wheel"),
    ):
        if subprocess.run(
            [sys.executable, "-c", f"import {module}"], capture_output=True
        ).returncode:
            pytest.skip(f"{package} is not installed")
    own = {
        name: value
        for name, value in os.environ.items()
        if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MODE", "PYTHONPATH")
    }
    everywhere, built = subprocess.run(
        ["make", "python-wheel"], cwd=ROOT, env=own, check=True, capture_output=True, text=True
    ).stdout.split()[-2:]
    assert not list(HERE.rglob("*.egg-info"))
    assert everywhere.endswith("-py3-none-any.whl")
    assert re.search(r"-py3-none-manylinux_2_36_\w+\.whl$", built)
    for wheel, contains_library in ((everywhere, False), (built, True)):
        names = zipfile.ZipFile(ROOT / wheel).namelist()
        assert "lossd/py.typed" in names and ("lossd/lossd-local.so" in names) == contains_library
    subprocess.run(
        [sys.executable, "-m", "venv", "--system-site-packages", tmp_path / "venv"], check=True
    )
    python = tmp_path / "venv/bin/python"
    subprocess.run(
        [python, "-m", "pip", "--quiet", "install", "--no-index", "--no-deps", ROOT / built],
        env=own,
        check=True,
        capture_output=True,
    )
    printed = run(
        python,
        SNIPPETS[0]
        + "\nprint(lossd.__file__)\nimport importlib.metadata,"
        " pathlib\nprint(importlib.metadata.version('lossd'))\n"
        "print(pathlib.Path(lossd.__file__).with_name('py.typed').exists())\n"
        "import os; del os.environ['LOSSD_LIBRARY']\n"
        "print(lossd.local.mse([1.0], [3.0]).loss)",
        url,
        tmp_path,
        PYTHONPATH="",
    )
    *_, where, version, typed, local = printed.splitlines()
    assert where.startswith(str(tmp_path)) and version == lossd.__version__ and typed == "True"
    assert local == "4.0"
