#!/usr/bin/python3 -B
"""Makes one change at a time in a copy of the sources and checks that the tests detect it.

    run.py BUILD [WORD...]
    run.py --check

tests/mutants/*.txt list the mutants, one per paragraph:

    a description of the changed behavior
    file: core/losses/huber.c
    - a piece of code that occurs once in the file; line breaks and spaces are ignored
    + its replacement
    tests: properties golden_library

Lines that begin with "-" and "+" may be repeated: together they are consecutive lines. "tests" are
suites or test cases, as in ONLY; they run until a test fails. WORD selects the mutants whose name
or file contains it.

The copy and its build are in BUILD/mutants, which is kept: the next run compiles only changed
files. A mutant is killed if a test fails twice (on a busy machine a test can fail once), or if the
tests print nothing for two minutes. Prints a line for each mutant, and `N killed, N survived`.
Fails if a mutant survives, if the tests fail without a mutant, or if a mutant does not compile.

--check only compares the list with the sources. Fails if a piece of code does not occur exactly
once, or if no suite or test case has the given name."""
import filecmp
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
QUIET_SECONDS = 120


class Mutant:
    """A change of the sources and the tests that must detect it."""

    def __init__(self, paragraph, where):
        self.name, *lines = paragraph
        self.where = f"{where}: {self.name}"
        self.file, self.before, self.after, self.tests = "", [], [], []
        for line in lines:
            self.read(line)
        if not (self.file and self.before and self.after and self.tests):
            sys.exit(f"{self.where}: a mutant needs file, -, + and tests")

    def read(self, line):
        if line.startswith("file: "):
            self.file = line[len("file: ") :].strip()
        elif line.startswith("tests: "):
            self.tests = line.split()[1:]
        elif line[:2] in ("- ", "+ ") or line in ("-", "+"):
            (self.before if line[0] == "-" else self.after).append(line[2:])
        else:
            sys.exit(f"{self.where}: cannot read the line: {line}")

    def pattern(self):
        """Returns a pattern for the piece with any line breaks, also those of macros."""
        tokens = re.findall(r"\w+|[^\w\s]", "\n".join(self.before))
        return re.compile(r"[\s\\]*".join(map(re.escape, tokens)))

    def fault(self):
        """Returns the error in the definition of the mutant, or None."""
        path = ROOT / self.file
        if not path.is_file():
            return f"{self.file} does not exist"
        places = len(self.pattern().findall(path.read_text(encoding="utf-8")))
        if places != 1:
            return f"{self.file} contains this {places} times, not once: " + "\n".join(self.before)
        if self.before == self.after:
            return "it changes nothing"
        return None

    def apply(self, text):
        """Returns the changed text of the file. The piece may begin and end within lines of the
        file."""
        return self.pattern().sub(lambda match: "\n".join(self.after), text)


def read_mutants():
    found = []
    for path in sorted(HERE.glob("*.txt")):
        text = re.sub("^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.M)
        paragraphs = re.split(r"\n\n+", text.strip("\n"))
        found += [Mutant(paragraph.split("\n"), path.name) for paragraph in paragraphs]
    return found


def names_of_tests():
    """Returns all possible names of suites and test cases: the string literals of the tests, and
    the losses."""
    names = set(
        re.findall(r"LOSS\((\w+)\)", (ROOT / "core/losses.def").read_text(encoding="utf-8"))
    )
    for path in (ROOT / "tests").rglob("*.c"):
        names.update(re.findall(r'"(\w+)"', path.read_text(encoding="utf-8")))
    return names


def check(mutants):
    """Returns the exit status."""
    names = names_of_tests()
    faults = [f"{m.where}: {m.fault()}" for m in mutants if m.fault()]
    faults += [
        f"{m.where}: no suite or test case is named '{test}'"
        for m in mutants
        for test in m.tests
        if test not in names
    ]
    print("\n".join(faults) if faults else f"{len(mutants)} mutants")
    return 1 if faults else 0


def copy_sources(tree):
    """Updates the copy. Unchanged files keep their modification time, so that they are not compiled
    again."""
    tree.mkdir(parents=True, exist_ok=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    for name in filter(None, listed):
        source, target = ROOT / name, tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.unlink(missing_ok=True)
            target.symlink_to(os.readlink(source))
        elif not source.exists():
            target.unlink(missing_ok=True)
        elif not (target.is_file() and filecmp.cmp(source, target, shallow=False)):
            shutil.copy(source, target)


def build(tree):
    """Returns the compiler output on failure, else an empty string. Builds two instruction sets
    instead of four, which halves the time and is enough to detect mutants."""
    isas = ["ISAS=x86_64 x86_64_v3"] if os.uname().machine == "x86_64" else []
    command = [
        "make",
        f"-j{os.cpu_count()}",
        "WERROR=",
        *isas,
        "build/lossd",
        "build/tests/lossd-tests",
    ]
    made = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    return made.stderr[-2000:] if made.returncode else ""


def results(process):
    """Yields the output lines of the tests; None if there is no output for QUIET_SECONDS."""
    with process.stdout as stdout:
        text = b""
        while True:
            if not select.select([stdout], [], [], QUIET_SECONDS)[0]:
                yield None
                return
            some = os.read(stdout.fileno(), 1 << 16)
            if not some:
                return
            *lines, text = (text + some).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)


def end(process):
    """Sends SIGTERM. libcheck then ends the running test and all processes of its session."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def failure(tree, test):
    """Runs a suite or a test case until a test fails. Returns the name of that test, or None."""
    environment = dict(
        os.environ, LOSSD="build/lossd", ONLY=test, CK_VERBOSITY="silent", CK_TAP_LOG_FILE_NAME="-"
    )
    process = subprocess.Popen(
        ["build/tests/lossd-tests"],
        cwd=tree,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        for line in results(process):
            failed = re.match(r"not ok \d+ - [^:]*:[^:]*:(\w+)", line or "")
            if line is None:
                return f"{test}, which does not exit"
            if line.startswith("no test ran"):
                sys.exit(line)
            if failed:
                return failed.group(1)
        return None if process.wait() == 0 else f"{test}, which crashes"
    finally:
        end(process)


def fails_twice(tree, test):
    """Returns the name of the last failed test, or None if all tests pass in one of two runs."""
    failed = failure(tree, test)
    return failed and ("does not end" in failed and failed or failure(tree, test))


def try_mutant(mutant, tree):
    """Returns the name of the test that detected the mutant, or None."""
    path = tree / mutant.file
    sound = path.read_text(encoding="utf-8")
    path.write_text(mutant.apply(sound), encoding="utf-8")
    try:
        errors = build(tree)
        if errors:
            sys.exit(f"{mutant.where}: does not compile:\n{errors}")
        return next(filter(None, (fails_twice(tree, test) for test in mutant.tests)), None)
    finally:
        path.write_text(sound, encoding="utf-8")


def check_sound(tree, mutants):
    """Checks that the tests pass without a mutant; otherwise they would seem to detect every
    mutant."""
    errors = build(tree)
    if errors:
        sys.exit(f"the sources do not compile:\n{errors}")
    for test in sorted({test for mutant in mutants for test in mutant.tests}):
        failed = fails_twice(tree, test)
        if failed:
            sys.exit(f"{failed} fails without a mutant")


def try_all(mutants, tree):
    """Returns the exit status."""
    begun = time.monotonic()
    copy_sources(tree)
    check_sound(tree, mutants)
    print(
        f"{len(mutants)} mutants; the tests pass without them ({time.monotonic() - begun:.0f} s)",
        flush=True,
    )
    survived = 0
    for mutant in mutants:
        start = time.monotonic()
        noticed = try_mutant(mutant, tree)
        survived += noticed is None
        verdict = f"killed by {noticed}" if noticed else "SURVIVED"
        print(
            f"{mutant.file}: {mutant.name}: {verdict} ({time.monotonic() - start:.0f} s)",
            flush=True,
        )
    print(
        f"{len(mutants) - survived} killed, {survived} survived ({time.monotonic() - begun:.0f} s)"
    )
    return 1 if survived else 0


def main():
    mutants = read_mutants()
    if sys.argv[1:] == ["--check"]:
        return check(mutants)
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    words = sys.argv[2:]
    chosen = [
        m for m in mutants if not words or any(word in m.name or word in m.file for word in words)
    ]
    if not chosen:
        sys.exit(f"no mutant has one of {words} in its name or file")
    faults = [f"{m.where}: {m.fault()}" for m in chosen if m.fault()]
    if faults:
        sys.exit("\n".join(faults))
    return try_all(chosen, Path(sys.argv[1]).resolve() / "mutants")


if __name__ == "__main__":
    sys.exit(main())
