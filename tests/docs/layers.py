"""Compares the folders with the table of ARCHITECTURE.md, and the #includes with layers.txt.

    layers.py

- Each folder of core/, proto/, server/, clients/lossctl/ and clients/python/native/ has one row in
  ARCHITECTURE.md, and one entry in layers.txt, which lists the folders that it may include.
- A file includes only files of its own folder and of those that its entry names.
- An entry names only folders that are included, and folders do not include each other in a cycle.
- Every other folder that contains files has a row, or is within a folder that has one.

Prints a line for each fault; fails if there is one."""
import re
import sys
from pathlib import PurePosixPath

from files import ROOT, all_files

ALLOWED = "tests/docs/layers.txt"

# The folders in which the compiler looks for a header, by layer (INCLUDES in the Makefile).
SEARCHED = {
    "core": ["core"],
    "proto": ["proto", "core"],
    "server": ["server", "proto", "core"],
    "clients/lossctl": ["clients/lossctl", "proto", "core"],
    "clients/python/native": ["clients/python/native", "proto", "core"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
# Folders that contain only listed folders. Hidden folders do not need a row either.
UNLISTED = {"clients", "tests"}


def read_rows(text):
    """Returns the folders that have a row in the table."""
    rows = (line.split(" | ")[0] for line in text.split("\n") if line.startswith("| `"))
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    return [name for name in names if (ROOT / name).is_dir()]


def read_allowed(text):
    """Returns {folder: folders it may include}. An indented line continues the one before it."""
    lines = re.sub(r"#.*", "", text).replace("\n    ", " ").split("\n")
    entries = (line.partition(":") for line in lines if line)
    return {folder: set(allowed.split()) for folder, _, allowed in entries}


def layer_of(path):
    return next((layer for layer in SEARCHED if path.startswith(layer + "/")), None)


def includes(path, files):
    """Yields the line number and folder of each of the repository's headers that a file
    includes."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for match in INCLUDE.finditer(text):
        for base in SEARCHED[layer_of(path)]:
            header = f"{base}/{match[1]}"
            if header in files:
                line = text.count("\n", 0, match.start(1)) + 1
                yield line, str(PurePosixPath(header).parent)
                break


def find_cycle(allowed):
    """Returns folders that include each other in a cycle, or None."""
    done, path = set(), []

    def visit(folder):
        if folder in path:
            return path[path.index(folder) :] + [folder]
        if folder in done:
            return None
        path.append(folder)
        cycle = next(filter(None, map(visit, sorted(allowed.get(folder, ())))), None)
        path.pop()
        done.add(folder)
        return cycle

    return next(filter(None, map(visit, sorted(allowed))), None)


def check_rows(listed, files):
    for folder in sorted({str(PurePosixPath(file).parent) for file in files}):
        parents = [str(parent) for parent in PurePosixPath(folder).parents]
        own = (
            folder in listed
            if layer_of(folder + "/")
            else any(f in listed for f in [folder, *parents])
        )
        if not own and folder not in UNLISTED and not folder.startswith("."):
            yield f"ARCHITECTURE.md: there is no row for {folder}"
    yield from (
        f"ARCHITECTURE.md: {folder} has two rows"
        for folder in sorted(set(listed))
        if listed.count(folder) > 1
    )


def check_includes(allowed, files):
    used = {folder: set() for folder in allowed}
    for path in files:
        if not layer_of(path) or not path.endswith((".c", ".h")):
            continue
        own = str(PurePosixPath(path).parent)
        for line, folder in includes(path, files):
            used.setdefault(own, set()).add(folder)
            if folder != own and folder not in allowed.get(own, ()):
                yield f"{path}:{line}: {own} may not include {folder} ({ALLOWED})"
    for folder in sorted(allowed):
        for unused in sorted(allowed[folder] - used[folder]):
            yield f"{ALLOWED}: {folder} includes nothing of {unused}"


def main():
    files = set(all_files())
    listed = read_rows((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    allowed = read_allowed((ROOT / ALLOWED).read_text(encoding="utf-8"))
    faults = [*check_rows(listed, files), *check_includes(allowed, files)]
    cycle = find_cycle(allowed)
    if cycle:
        faults.append(f"{ALLOWED}: a cycle: " + " -> ".join(cycle))
    print("\n".join(faults) or f"{len(allowed)} folders include what they may")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
