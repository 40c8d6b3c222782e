"""Checks the text of messages in the sources and in responses.

texts.check() is shared with errors.py. The program itself reads the sources. Each string passed to
a function that builds a message must have balanced quotes, no full stop at its end, no "?;", no
",,", and no two spaces in a row.

    texts.py

Prints a line for each failure; fails if there is one."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ["core", "core/losses", "proto", "server", "clients/lossctl"]
# Functions that take a part of a message, but no printf arguments.
PARTS = {
    "malformed_entry",
    "unexpected",
    "fields_unexpected",
    "wrong_type",
    "fields_unknown",
    "loss_nearest_text",
}
# Functions with printf arguments that do not build messages.
NOT_MESSAGES = {"buffer_printf", "add_header_printf", "on_log"}
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|\w+|\s+|.', re.S)
DECLARED = re.compile(r"format\(printf, \d+, \d+\)\)\)\s*(?:static )?[\w\s*]*?(\w+)\(")
# Matches quoted text, an escape outside quotes, and the apostrophe of a possessive.
QUOTED = re.compile(r"(?<=\w)'(?=s\b)" r"|\\." r"|'(?:\\.|[^'\\])*'" r'|"(?:\\.|[^"\\])*"')
ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "'": "'"}


def check(text):
    """Returns the fault of a message or a part of one, or None."""
    rest = QUOTED.sub("Q", text)
    if '"' in rest or "'" in rest:
        return "a quote that is not closed"
    if "?;" in rest:
        return "'?' before ';'"
    if re.search(r",\s*,|;\s*;", rest):
        return "two commas or semicolons in a row"
    if "  " in rest.strip():
        return "two spaces in a row"
    if rest.endswith(".") and not rest.endswith("..."):
        return "a full stop at its end"
    return None


def tokens_of(path):
    text = path.read_text()
    for match in TOKEN.finditer(text):
        if not match[0].isspace() and not match[0].startswith(("/*", "//")):
            yield match[0], text.count("\n", 0, match.start()) + 1


def strings_of_calls(path, functions):
    """Yields the string arguments of calls. Joins adjacent strings, and replaces PRId64 and similar
    macros by %d."""
    tokens = list(tokens_of(path))
    depth, joined, line = 0, None, 0
    for i, (token, at) in enumerate(tokens):
        following = tokens[i + 1][0] if i + 1 < len(tokens) else ""
        builds = token in functions or (
            token == "snprintf" and tokens[i + 2][0] in ("message", "why")
        )
        if depth == 0 and not (builds and following == "("):
            continue
        if depth == 0:
            depth, opened = 1, False
            continue
        if not opened:
            opened = True
            continue
        if token.startswith('"'):
            plain = re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[1]), token[1:-1])
            joined, line = (plain, at) if joined is None else (joined + plain, line)
            continue
        if joined is not None and token.startswith("PRI"):
            joined += "d"
            continue
        if joined is not None:
            yield line, joined
            joined = None
        depth += (token == "(") - (token == ")")


def main():
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.[ch]"))]
    functions = set(PARTS)
    for path in files:
        functions |= set(DECLARED.findall(path.read_text()))
    functions -= NOT_MESSAGES
    seen, faults = 0, 0
    for path in files:
        for line, text in strings_of_calls(path, functions):
            seen += 1
            why = check(text)
            if why and " " in text:
                print(f"{path.relative_to(ROOT)}:{line}: {why}: {text!r}")
                faults += 1
    if seen < 300:
        print(f"only {seen} strings were found in the sources")
        faults += 1
    return faults > 0


if __name__ == "__main__":
    sys.exit(main())
