"""Runs the examples in the documentation against a server, and compares their output with the
documents.

    snippets.py LOSSD [--only TEXT]

- Runs blocks of `sh`, `python` and `js` in docs/index.md, docs/guides and the pages of the losses,
  and curl commands in indented blocks of README.md and docs/API.md.
- The expected output is the block of `output` (or the indented block that starts with `{`) after
  an example; "..." matches anything. Without one, the example must succeed.
- Reports languages that are not installed, whose examples are skipped.
- Prints the number of examples that passed and failed."""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import losses
from server import URL_IN_TEXT, lossd

ROOT = Path(__file__).resolve().parents[2]
FENCED = [ROOT / "docs/index.md", *sorted((ROOT / "docs/guides").glob("*.md"))]
INDENTED = [ROOT / "README.md", ROOT / "docs/API.md"]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$(?:\n```output\n(.*?)^```$)?", re.S | re.M)

# The command that runs a block, and one that tests whether it is available.
PYTHON = "/usr/bin/python3"
RUNNERS = {
    "sh": (["sh", "-eu", "-c"], ["curl", "--version"]),
    "python": ([PYTHON, "-c"], [PYTHON, "-c", "import numpy"]),
    "js": (["node", "--input-type=module", "-e"], ["node", "--version"]),
}
# Files that examples use.
FILES = """
import numpy as np
np.save("pred.npy", np.float32([2.5, 0, 2]))
np.save("y.npy", np.float32([3, -0.5, 2]))
"""


def fenced(path):
    for match in FENCE.finditer(path.read_text(encoding="utf-8")):
        if match[1] in RUNNERS:
            yield path, match[1], match[2], match[3]


def indented_blocks(text):
    """Indented blocks."""
    block = []
    for line in [*text.split("\n"), ""]:
        if line.startswith("    "):
            block.append(line[4:])
        elif block:
            yield "\n".join(block)
            block = []


def indented(path):
    blocks = list(indented_blocks(path.read_text(encoding="utf-8")))
    for block, following in zip(blocks, [*blocks[1:], ""]):
        if block.startswith("curl "):
            yield path, "sh", block, following if following.startswith("{") else None


def loss_examples(server, only):
    for entry in server.json("/v1/losses")["losses"]:
        if only not in f"losses/{entry['name']}":
            continue
        loss = server.json(entry["path"])
        answer = server.ask(loss["path"], losses.example(loss))[1]
        for (_, language), write in zip(
            losses.LANGUAGES, (losses.curl, losses.python, losses.javascript)
        ):
            yield Path(f"losses/{loss['name']}"), language, write(
                loss, losses.example(loss)
            ), answer if language == "sh" else None


def squeezed(text):
    return re.sub(r"\s+", " ", text.strip())


def agrees(printed, expected):
    pattern = ".*".join(re.escape(part) for part in squeezed(expected).split("..."))
    # A document may wrap JSON where the response has no white space.
    return re.fullmatch(pattern, squeezed(printed), re.S) or re.fullmatch(
        pattern.replace("\\ ", " ?"), squeezed(printed), re.S
    )


def prepare(folder):
    """Creates the folder in which the examples of a page run, with the files that they use."""
    folder.mkdir(parents=True)
    (folder / "tests").symlink_to(ROOT / "tests")
    modules = folder / "node_modules"
    modules.mkdir()
    (modules / "lossd").symlink_to(ROOT / "clients/js")
    subprocess.run([PYTHON, "-c", FILES], cwd=folder, check=True)


def run(language, text, url, folder, build):
    command = RUNNERS[language][0]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "clients/python/src"),
        "PATH": f"{build}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LOSSD_URL": url,
        # Open MPI refuses to run as root, and more ranks than cores.
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }
    text = text.replace(URL_IN_TEXT, url)
    if language == "sh":  # no progress meter
        text = re.sub(r"\bcurl ", "curl -sS ", text)
    done = subprocess.run(
        [*command, text], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    done.stdout = done.stdout.replace(url, URL_IN_TEXT)
    return done


def works(language):
    try:
        return subprocess.run(RUNNERS[language][1], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lossd")
    parser.add_argument(
        "--only", default="", help="run only examples of pages whose name contains TEXT"
    )
    arguments = parser.parse_args()
    build = Path(arguments.lossd).resolve().parent
    here = {language: works(language) for language in RUNNERS}
    here["lossctl"] = (build / "lossctl").exists()
    here["mpirun"] = bool(shutil.which("mpirun") and [*build.glob("lossctl-*.so")])
    passed = failed = 0
    top = Path(tempfile.mkdtemp(prefix="lossd-docs-"))
    try:
        with lossd(arguments.lossd) as server:
            examples = [
                *(example for path in FENCED for example in fenced(path)),
                *(example for path in INDENTED for example in indented(path)),
                *loss_examples(server, arguments.only),
            ]
            for path, language, text, expected in examples:
                programs = [name for name in ("lossctl", "mpirun") if f"{name} " in text]
                if arguments.only not in str(path) or not all(
                    here[name] for name in (language, *programs)
                ):
                    continue
                folder = top / path.name
                if not folder.exists():
                    prepare(folder)
                done = run(language, text, server.url, folder, build)
                refused = expected is None and '"type":"about:blank"' in done.stdout
                if (
                    done.returncode == 0
                    and not refused
                    and (expected is None or agrees(done.stdout, expected))
                ):
                    passed += 1
                    continue
                failed += 1
                print(
                    f"--- {path}, {language}:\n{text}\n"
                    f"--- exited with {done.returncode} and printed:\n{done.stdout}{done.stderr}"
                    f"\n--- instead of:\n{expected or 'success'}\n",
                    file=sys.stderr,
                )
    finally:
        shutil.rmtree(top)
    for language, is_here in here.items():
        if not is_here:
            print(
                f"docs: the examples in {language} were not run: it is not installed",
                file=sys.stderr,
            )
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
