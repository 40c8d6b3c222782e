#!/usr/bin/python3
"""Compares the copies of the version with LOSS_VERSION in core/loss.h, or changes all of them.

    version.py [VERSION]

Files that other tools read contain copies of the version. Without an argument, prints a line for
each copy that differs, and fails if there is one. With an argument, writes that version to
core/loss.h and all copies. The changelogs are compared only: their new sections need text."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ("core/loss.h", r'#define LOSS_VERSION "(.+)"')
IMAGE = r"registry\.example\.org/lossd:([\w.-]+)"
# Files, and a pattern whose only group matches the version.
COPIES = [
    ("clients/js/package.json", r'^  "version": "(.+)"'),
    ("clients/python/src/lossd/_version.py", r'^__version__ = "(.+)"'),
    ("deploy/kserve/servingruntime.yaml", IMAGE),
    ("deploy/kubernetes/eval/job.yaml", IMAGE),
    ("deploy/kubernetes/eval/merge.yaml", IMAGE),
    ("deploy/kubernetes/kustomization.yaml", IMAGE),
    ("deploy/kubernetes/kustomization.yaml", r"^    newTag: (.+)"),
    ("Dockerfile", r'org\.opencontainers\.image\.version="(.+?)"'),
]
# The version of the first match, which is the newest.
CHANGELOGS = [
    ("CHANGELOG.md", r"^## ([\d.]+)"),
    ("deploy/debian/changelog", r"^lossd \(([\d.]+)\)"),
]


def found(path, pattern):
    """Returns the matches of a pattern in a file, of which there must be one."""
    matches = [*re.finditer(pattern, (ROOT / path).read_text("utf-8"), re.M)]
    if not matches:
        raise SystemExit(f"{path}: nothing matches {pattern}")
    return matches


def check(version):
    copies = [(path, match[1]) for path, pattern in COPIES for match in found(path, pattern)] + [
        (path, found(path, pattern)[0][1]) for path, pattern in CHANGELOGS
    ]
    return [
        f"{path}: the version is {copy}, but {version} in core/loss.h"
        for path, copy in copies
        if copy != version
    ]


def write(version):
    for path, pattern in [SOURCE, *COPIES]:
        text = (ROOT / path).read_text("utf-8")
        for match in reversed(found(path, pattern)):
            text = text[: match.start(1)] + version + text[match.end(1) :]
        (ROOT / path).write_text(text, "utf-8")


def main():
    if len(sys.argv) > 1:
        if not re.fullmatch(r"\d+\.\d+\.\d+", sys.argv[1]):
            raise SystemExit(f"{sys.argv[1]} is not a version such as 1.2.3")
        write(sys.argv[1])
    faults = check(found(*SOURCE)[0][1])
    print("\n".join(faults) or "all versions are equal")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
