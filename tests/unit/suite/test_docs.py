"""Markdown pages: short lines of one sentence, a short README, links that lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
FOLDERS = ("bench", "config", "docs", "findings", "replicator", "schemas", "tests")
PAGES = [
    *ROOT.glob("*.md"),
    *sorted(page for name in FOLDERS for page in (ROOT / name).rglob("*.md")),
]
LINE_CHARS_MAX = 120
README_WORDS_MAX = 700
SENTENCE_END = re.compile(r"""[\w)`\]*"%][.?!]\*{0,2} +(?=[A-Z`*\[(\d])""")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
LINK_ONLY = re.compile(rf"^[-*\s]*{LINK.pattern}[.,;]?$")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line outside fenced code blocks with its number."""
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def long_lines(text: str) -> list[int]:
    return [
        number
        for number, line in prose(text)
        if len(line) > LINE_CHARS_MAX and not LINK_ONLY.match(line)
    ]


def crowded_lines(text: str) -> list[int]:
    """Return lines of text, tables and headings left out, in which a second sentence begins."""
    found: list[int] = []
    for number, line in prose(text):
        words = re.sub(r"^\s*\d+\. ", "", line)
        if not line.startswith(("|", "#", "    ")) and SENTENCE_END.search(words):
            found.append(number)
    return found


def links(text: str) -> list[str]:
    """Return the targets of relative links, without those that stand in code."""
    lines = (re.sub(r"`[^`]*`", "``", line) for _, line in prose(text))
    found = [target for line in lines for target in LINK.findall(line)]
    return [target for target in found if "://" not in target]


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the page's headings."""
    found: set[str] = set()
    for _, line in prose(text):
        if match := re.match(r"#+ (.+)", line):
            plain = LINK.sub(lambda link: link[0][1 : link[0].index("]")], match[1]).lower()
            slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
            later = (f"{slug}-{n}" for n in range(1, len(found) + 1))
            found.add(slug if slug not in found else next(a for a in later if a not in found))
    return found


def broken_links(page: Path) -> list[str]:
    found: list[str] = []
    for target in links(page.read_text()):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in anchors(place.read_text())):
            found.append(target)
    return found


def names(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_lines_are_short_enough_for_a_diff(page: Path):
    assert long_lines(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_each_sentence_has_its_line(page: Path):
    assert crowded_lines(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_relative_links_and_their_anchors_lead_somewhere(page: Path):
    assert broken_links(page) == []


def test_the_readme_says_what_it_is_in_two_minutes():
    words = (ROOT / "README.md").read_text().partition("## Licence")[0].split()
    assert len(words) <= README_WORDS_MAX


def test_the_index_links_every_page():
    index = DOCS / "index.md"
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in links(index.read_text())}
    pages = [page for page in DOCS.rglob("*.md") if page != index]
    assert [names(p) for p in pages if p not in linked and p.parent not in linked] == []


@pytest.mark.parametrize(("page", "least"), [("security.md", 25), ("compatibility.md", 15)])
def test_the_tests_that_a_page_names_are_there(page: str, least: int):
    text = (DOCS / page).read_text()
    named = re.findall(r"`((?:tests/)?\w+/[\w/]*test_\w+\.py)(?:::(\w+))?`", text)
    assert len(named) > least, "this looked in the wrong place"
    missing = [
        f"{path}::{test}"
        for path, test in named
        if not (file := ROOT / "tests" / path.removeprefix("tests/")).exists()
        or f"def {test}" not in file.read_text()
    ]
    assert missing == []


def test_the_rules_find_what_breaks_them(tmp_path: Path):
    """Each rule refuses one page that breaks it and passes over what it excuses."""
    long, page = "x" * (LINE_CHARS_MAX + 1), tmp_path / "page.md"
    assert long_lines(f"a\n```\n{long}\n```\n{long}\n- [{long}](docs)\n") == [5]
    assert crowded_lines("1. One.\n| A. B |\nOne. Two.\n- One, e.g. two.\n**One.** `two`\n") == [
        3,
        5,
    ]
    page.write_text(
        "# One *two*\n## One two\n[a](page.md#one-two-1) [b](#no) [c](no.md) `[d](x)`\n"
    )
    assert broken_links(page) == ["#no", "no.md"]


def test_each_decision_has_a_number_of_its_own():
    titles = {
        path.name: path.read_text().split(".", 1)[0] for path in (DOCS / "decisions").glob("*.md")
    }
    assert titles == {name: f"# {int(name[:4])}" for name in titles}
    assert len(set(titles.values())) == len(titles)
