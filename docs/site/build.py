"""Builds the documentation site with MkDocs.

    build.py LOSSD          builds the site, with a page for each loss; run by `make docs`
    build.py --gather       only gathers the pages and checks the links between files; run by `make
    test`

Pages are gathered in build/docs/pages. Links between files of the repository become links between
pages; other files are copied into the site. A link to a missing file or anchor fails the build.
Except for --gather, this needs Debian's mkdocs and python3-matplotlib."""
import html.parser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import losses
from server import lossd

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "build/docs/pages"
SITE = ROOT / "build/docs/site"

# The pages, by section: (title, file).
SECTIONS = {
    None: [("Quick start", "docs/index.md")],
    "Guides": [
        ("Requests by example", "docs/guides/requests.md"),
        ("Evaluation in a pipeline", "docs/guides/pipeline.md"),
        ("Dask, Spark and Ray", "docs/guides/frameworks.md"),
        ("A dataset larger than memory", "docs/guides/larger-than-memory.md"),
        ("Evaluation on a cluster", "docs/guides/cluster.md"),
        ("Training from another language", "docs/guides/training.md"),
        ("Load testing", "docs/guides/load-testing.md"),
        ("Operations", "docs/operations.md"),
        ("Boosting objectives", "docs/guides/boosting.md"),
        ("Versions and releases", "docs/releases.md"),
    ],
    "Clients": [
        ("Python", "clients/python/README.md"),
        ("JavaScript", "clients/js/README.md"),
        ("lossctl", "docs/lossctl.md"),
        ("Examples", "tests/clients/README.md"),
    ],
    "Reference": [
        ("HTTP API", "docs/API.md"),
        ("Accuracy", "docs/accuracy.md"),
        ("Arguments of the losses", "docs/losses.md"),
        ("The project", "README.md"),
        ("Benchmarks", "bench/README.md"),
        ("Architecture", "ARCHITECTURE.md"),
        ("Contributing", "CONTRIBUTING.md"),
        ("Changes", "CHANGELOG.md"),
    ],
}
# MkDocs would use README.md as the index.
PLACES = {
    file: "project.md" if file == "README.md" else file.removeprefix("docs/")
    for pages in SECTIONS.values()
    for _, file in pages
}
LINK = re.compile(r"""(!?\[[^\]]*\]\(|<img src=")([^)\s#"]*)(#[^)\s]*)?(\)|")""")


def place_of(file):
    """Returns the place of a file in the site. Copies the file if it is not a page."""
    if file in PLACES:
        return PLACES[file]
    place = f"files/{file}"
    source = ROOT / file
    if source.is_dir():
        return listed(file, source)
    # MkDocs would turn Markdown files into pages.
    place += ".txt" if place.endswith((".md", ".html")) else ""
    (PAGES / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, PAGES / place)
    return place


def listed(folder, source):
    """Writes a page that lists the files of a folder, and copies them."""
    place = f"files/{folder}.md"
    files = [
        (path.name, place_of(f"{folder}/{path.name}"))
        for path in sorted(source.iterdir())
        if path.is_file()
    ]
    lines = [f"- [`{name}`]({os.path.relpath(there, Path(place).parent)})" for name, there in files]
    (PAGES / place).parent.mkdir(parents=True, exist_ok=True)
    (PAGES / place).write_text("\n".join([f"# {folder}", "", *lines]) + "\n", encoding="utf-8")
    return place


def relinked(text, file):
    """Returns the text of a page, with links to the places of files in the site."""
    here = Path(PLACES[file]).parent

    def turn(match):
        target = match[2]
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = os.path.normpath(Path(file).parent / target)
        if path.startswith("docs/losses/"):  # generated
            return match[0]
        if not (ROOT / path).exists():
            raise SystemExit(f"{file} links to {target}, which does not exist")
        return f"{match[1]}{os.path.relpath(place_of(path), here)}{match[3] or ''}{match[4]}"

    return LINK.sub(turn, text)


def gather():
    for file, place in PLACES.items():
        (PAGES / place).parent.mkdir(parents=True, exist_ok=True)
        (PAGES / place).write_text(
            relinked((ROOT / file).read_text(encoding="utf-8"), file), encoding="utf-8"
        )


def generate(server):
    """Writes the pages of the losses. Yields (title, place)."""
    import curves  # needs matplotlib

    folder = PAGES / "losses"
    folder.mkdir(parents=True, exist_ok=True)
    table = [
        "# Losses",
        "Every loss is an endpoint (`POST /v1/losses/{loss}`), a model of the Open Inference"
        " Protocol, and a method of the clients.",
        "| loss | | names in PyTorch and other names |\n| --- | --- | --- |",
    ]
    for entry in server.json("/v1/losses")["losses"]:
        loss = server.json(entry["path"])
        answer = server.ask(loss["path"], losses.example(loss))[1]
        text = "\n\n".join(losses.page(loss, answer, curves.figures(server, loss, folder)))
        (folder / f"{loss['name']}.md").write_text(text + "\n", encoding="utf-8")
        names = ", ".join(f"`{name}`" for name in loss["aliases"])
        table[-1] += f"\n| [`{loss['name']}`]({loss['name']}.md) | {loss['title']} | {names} |"
        yield loss["name"], f"losses/{loss['name']}.md"
    (folder / "index.md").write_text("\n\n".join(table) + "\n", encoding="utf-8")


def navigation(loss_pages):
    def line(title, place, depth):
        return f"{'  ' * depth}- {title}: {place}"

    for section, pages in SECTIONS.items():
        if section:
            yield f"  - {section}:"
        for title, file in pages:
            yield line(title, PLACES[file], 2 if section else 1)
        if section is None:
            yield "  - Losses:"
            yield from (
                line(title, place, 2)
                for title, place in [("All losses", "losses/index.md"), *loss_pages]
            )


class Anchors(html.parser.HTMLParser):
    """Returns the ids and the links of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.update(value for name, value in attrs.items() if name in ("id", "name") and value)
        self.links += [(name, attrs[name]) for name in ("href", "src") if attrs.get(name)]


def check_links():
    """Fails if a link leads to a missing file or anchor, or if a page loads anything from another
    server."""
    pages = {path: Anchors(path.read_text(encoding="utf-8")) for path in SITE.rglob("*.html")}
    wrong = []
    for path, page in pages.items():
        for kind, link in page.links:
            target, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:|//", target):
                if kind == "src" or target.endswith((".css", ".js")):
                    wrong.append(f"{path.relative_to(SITE)} fetches {link}")
                continue
            file = (
                Path(os.path.normpath(path.parent / target)) if target and target != "." else path
            )
            file = file / "index.html" if file.is_dir() else file
            if not file.exists() and path.name != "404.html":
                wrong.append(f"{path.relative_to(SITE)} links to {link}, which does not exist")
            elif anchor and file in pages and anchor not in pages[file].ids:
                wrong.append(f"{path.relative_to(SITE)} links to {link}: there is no such anchor")
    if wrong:
        raise SystemExit("\n".join(wrong))
    print(f"docs: {len(pages)} pages, all links are valid: {SITE.relative_to(ROOT)}/index.html")


def main():
    shutil.rmtree(PAGES, ignore_errors=True)
    PAGES.mkdir(parents=True)
    gather()
    if sys.argv[1] == "--gather":
        return
    for file in ("docs/site/lossd.css", "web/tokens.css", "web/icon.svg"):
        shutil.copyfile(ROOT / file, PAGES / Path(file).name)
    with lossd(sys.argv[1]) as server:
        loss_pages = list(generate(server))
    config = (ROOT / "docs/site/mkdocs.yml").read_text(encoding="utf-8")
    config = config.replace("../../build/docs/", "").replace(
        "nav: NAV", "nav:\n" + "\n".join(navigation(loss_pages))
    )
    (ROOT / "build/docs/mkdocs.yml").write_text(config, encoding="utf-8")
    subprocess.run(
        ["mkdocs", "build", "--quiet", "--strict", "--clean", "-f", ROOT / "build/docs/mkdocs.yml"],
        check=True,
    )
    check_links()


if __name__ == "__main__":
    main()
