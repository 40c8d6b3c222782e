#!/usr/bin/python3 -B
"""Runs the tests of a coverage build and reports the covered lines and branches.

    run.py BUILD --lines PERCENT --branches PERCENT

Prints a line for each file and each folder; BUILD/html has the lines themselves, BUILD/missed.txt
the numbers of lines that were not executed and of lines with branches that were not taken. The
environment is passed to the tests: ONLY, LOSSD. Fails if a test fails or, unless ONLY selects
tests, if core/, proto/ or server/ is below one of the percentages."""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# lossctl is reported, but has no threshold.
FOLDERS = ["core", "proto", "server", "clients/lossctl"]
MEASURED = ["core", "proto", "server"]


def run_tests(build):
    """Removes the counters of earlier runs and of earlier versions of the sources."""
    for counters in build.rglob("*.gcda"):
        counters.unlink()
    return subprocess.run([build / "tests/lossd-tests"], cwd=ROOT).returncode


def report(build):
    """Returns the coverage of each file, from gcovr. A source has many objects: kernels are
    built for several instruction sets, and headers are in every file that includes them. gcovr adds
    their counters line by line. Branches of exceptions do not occur in C; those of lines without
    code (a closing brace) are made by the compiler. Both are excluded."""
    html, figures, lines = build / "html", build / "coverage.json", build / "lines.json"
    html.mkdir(exist_ok=True)
    command = [
        "gcovr",
        "--root",
        ROOT,
        "--object-directory",
        build,
        "-j",
        str(os.cpu_count()),
        "--exclude-throw-branches",
        "--exclude-unreachable-branches",
        "--html-details",
        html / "index.html",
        "--json-summary",
        figures,
        "--json",
        lines,
    ]
    for folder in FOLDERS:
        command += ["--filter", f"{ROOT}/{folder}/"]
    subprocess.run([*command, build], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    write_missed(build / "missed.txt", json.loads(lines.read_text(encoding="utf-8"))["files"])
    return json.loads(figures.read_text(encoding="utf-8"))["files"]


def ranges(numbers):
    """Formats ascending numbers as ranges: 3, 7-9."""
    runs = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def write_missed(path, files):
    with open(path, "w", encoding="utf-8") as out:
        for file in files:
            counted = [line for line in file["lines"] if not line.get("gcovr/noncode")]
            missed = [line["line_number"] for line in counted if line["count"] == 0]
            branches = [
                line["line_number"]
                for line in counted
                if line["count"] > 0 and any(branch["count"] == 0 for branch in line["branches"])
            ]
            if missed or branches:
                print(
                    (
                        f"{file['file']}\n    not executed: {ranges(missed) or 'none'}\n"
                        f"    branches not taken at: {ranges(branches) or 'none'}"
                    ),
                    file=out,
                )


class Share:
    """The number of covered items and their total."""

    def __init__(self, files, kind):
        self.covered = sum(file[f"{kind}_covered"] for file in files)
        self.total = sum(file[f"{kind}_total"] for file in files)

    def percent(self):
        return 100 * self.covered / self.total if self.total else 100.0

    def __str__(self):
        return f"{self.covered:6} of {self.total:6} {self.percent():6.1f} %"


def print_line(name, files):
    print(f"{name:42} {Share(files, 'line')}   {Share(files, 'branch')}")


def check(by_folder, minimum):
    """Prints the folders that are below the percentages. Returns False if there is any."""
    good = True
    for folder in MEASURED:
        for kind, percent in minimum.items():
            share = Share(by_folder[folder], kind)
            if share.percent() < percent:
                good = False
                print(
                    (
                        f"coverage: {folder}: {share.percent():.1f} % of"
                        f" {kind}{'e' * (kind == 'branch')}s are covered;"
                        f" the minimum is {percent} %"
                    ),
                    file=sys.stderr,
                )
    return good


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("build", type=lambda path: Path(path).resolve())
    parser.add_argument("--lines", type=float, required=True)
    parser.add_argument("--branches", type=float, required=True)
    arguments = parser.parse_args()
    status = run_tests(arguments.build)
    files = report(arguments.build)
    by_folder = {
        folder: [file for file in files if file["filename"].startswith(folder + "/")]
        for folder in FOLDERS
    }
    print(f"{'':42} {'lines':>25}   {'branches':>25}")
    for file in files:
        print_line(file["filename"], [file])
    for folder in FOLDERS:
        print_line(folder, by_folder[folder])
    print(f"lines: {os.path.relpath(arguments.build / 'html/index.html')}, missed.txt")
    reached = bool(os.environ.get("ONLY")) or check(
        by_folder, {"line": arguments.lines, "branch": arguments.branches}
    )
    if status != 0:
        print("coverage: tests failed, see above", file=sys.stderr)
    return 0 if status == 0 and reached else 1


if __name__ == "__main__":
    sys.exit(main())
