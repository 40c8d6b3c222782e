"""Checks that the source files named in documents and comments exist.

    files.py

A name can be a path from the root, a path relative to the naming file, or the end of a path.

Prints a line for each fault; fails if there is one."""
import io
import os
import re
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED_FOLDERS = {".git", "build", "node_modules", "corpus", "__pycache__"}
NAME = re.compile(r"(?<![\w./<>*{}$-])[\w./-]*\w\.(?:c|h|cc|py|mjs|js|sh|def|md)(?![\w/*(]|\.\w)")
# Names of files that are not in the repository, and their origin.
ELSEWHERE = {
    "my.c": "the reader's own program",
    "program.mjs": "the reader's own program",
    "torch/nn/functional.py": "PyTorch",
    "losses/index.md": "made by docs/site/build.py",
}


def all_files():
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
        for name in names:
            yield (Path(folder) / name).relative_to(ROOT).as_posix()


def comments_of_c(text):
    """Yields comments with their line numbers; skips strings."""
    for match in re.finditer(
        r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|(/\*.*?\*/|//[^\n]*)', text, re.S
    ):
        if match[1]:
            yield text.count("\n", 0, match.start()) + 1, match[1]


def comments_of_python(text):
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or (
            token.type == tokenize.STRING and token.string.startswith('"""')
        ):
            yield token.start[0], token.string


def comments_of_shell(text):
    for number, line in enumerate(text.split("\n"), 1):
        match = re.search(r"(?:^|\s)#(.*)", line)
        if match:
            yield number, match[1]


def whole(text):
    yield 1, text


COMMENTS = {
    ".md": whole,
    "Makefile": comments_of_shell,
    "Dockerfile": comments_of_shell,
    ".c": comments_of_c,
    ".h": comments_of_c,
    ".cc": comments_of_c,
    ".js": comments_of_c,
    ".mjs": comments_of_c,
    ".py": comments_of_python,
    ".sh": comments_of_shell,
    ".def": comments_of_c,
}


def prose(path):
    """Yields the parts of a file to search for file names: (line, text)."""
    name = Path(path).name
    comments = COMMENTS.get(Path(path).suffix, COMMENTS.get(name))
    if not comments or name.endswith(".min.js"):
        return []
    return comments((ROOT / path).read_text(encoding="utf-8"))


def exists(name, path, files):
    if name.startswith(("/", "build/")):
        return True
    for base in (Path("."), Path(path).parent):
        if os.path.normpath(base / name) in files:
            return True
    return any(file.endswith("/" + name) for file in files)


def check_names(files):
    unused = set(ELSEWHERE)
    for path in sorted(files):
        for line, text in prose(path):
            for match in NAME.finditer(text):
                if exists(match[0], path, files):
                    continue
                unused.discard(match[0])
                if match[0] not in ELSEWHERE:
                    yield (
                        f"{path}:{line + text.count(chr(10), 0, match.start())}: there is no file"
                        f" {match[0]}"
                    )
    yield from (
        f"tests/docs/files.py: nothing names {name}, which ELSEWHERE lists"
        for name in sorted(unused)
    )


def main():
    files = set(all_files())
    faults = list(check_names(files))
    print("\n".join(faults) or f"{len(files)} files: every one that is named is there")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
