"""Checks that lines have at most 100 columns.

    columns.py

Not checked: data, HTML, minified files, tables and code in Markdown, and lines with an address.

Prints a line for each fault; fails if there is one."""
import re
import sys
from pathlib import Path

from files import ROOT, all_files

WIDTH = 100
UNCHECKED = {".json", ".jsonl", ".npy", ".safetensors", ".svg", ".html"}
FENCE = re.compile(r"\s*(```|~~~)")
ADDRESS = re.compile(r"\w://\S")


def is_checked(path):
    return Path(path).suffix not in UNCHECKED and ".min." not in path


def without_code(lines):
    """Yields the lines of Markdown that are prose, with their numbers."""
    fenced = False
    for number, line in enumerate(lines, 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced and not line.startswith("    ") and not line.lstrip().startswith("|"):
            yield number, line


def long_lines(path):
    try:
        lines = (ROOT / path).read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        return []
    numbered = without_code(lines) if path.endswith(".md") else enumerate(lines, 1)
    return [
        f"{path}:{number}: {len(line)} columns; at most {WIDTH} are allowed"
        for number, line in numbered
        if len(line) > WIDTH and not ADDRESS.search(line)
    ]


def main():
    checked = sorted(filter(is_checked, all_files()))
    faults = [fault for path in checked for fault in long_lines(path)]
    print("\n".join(faults) or f"{len(checked)} files: no line has more than {WIDTH} columns")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
