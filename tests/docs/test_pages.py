"""README and docs hold together: links, anchors, pictures, short lines, and what they list. No site is built."""

import functools
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from recipe.zppo.methods import METHODS
from recipe.zppo.methods.candidate_questions import FORMS
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.view.health import ENTROPY_LEFT, HEALTHY
from tests.docs import metric_page
from tests.examples.conftest import ROOT

DOCS = ROOT / "docs"
_SPEC = importlib.util.spec_from_file_location("draw", DOCS / "images" / "draw.py")
draw = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(draw)

PAGES = sorted(DOCS.rglob("*.md"))
OTHERS = [*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.md")]
OTHERS += [page for folder in ("examples", "recipe") for page in (ROOT / folder).rglob("*.md")]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^ *```.*?^ *```", re.M | re.S)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@functools.cache
def prose(page: Path) -> str:
    """The page without blocks and spans of code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))


@functools.cache
def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub and the site make them."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """(as written, file, anchor) of every relative link."""
    for match in LINK.finditer(prose(page)):
        written = match[1] or match[2]
        if not re.match(r"[a-z]+:", written):
            path, _, anchor = written.partition("#")
            yield written, (page.parent / path).resolve() if path else page, anchor


def broken(page: Path) -> list[str]:
    found = []
    for written, target, anchor in links(page):
        outside = DOCS in page.parents and not target.is_relative_to(DOCS)  # the site could not follow it
        if outside or not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(written)
    return found


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_code_names_pages_that_are_there() -> None:
    folders = ("recipe", "verl", "examples", "docker", "constraints", "benchmarks")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    named = set()
    for path in [ROOT / "setup.py", ROOT / "Makefile", *sources]:
        if path.exists() and path.suffix in ("", ".py", ".sh", ".sbatch", ".yaml", ".txt"):
            named |= {ROOT / page for page in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8"))}
    assert len(named) > 5
    assert {page for page in named if not page.exists()} == set()


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# The first\n\n```\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md#the-first) [b](https://x.org) `[c](code.md)`\n[d](gone.md)\n<img src='x' src=\"no.svg\">"
    )
    assert broken(page) == ["gone.md", "no.svg"]
    page.with_name("other.md").write_text("[a](there.md#second) [b](#third) [c](there.md#no-heading)")
    assert broken(page.with_name("other.md")) == ["there.md#second", "#third", "there.md#no-heading"]


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name)
def test_lines_are_short_and_lists_stand_apart(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120] == []
    # The site takes a list that follows a line of text for more text.
    glued = re.findall(r"^(?![-#|<\s]|\d+\. ).+\n(?:-|\d+\.) .*$", FENCE.sub("", "\n".join(lines)), re.M)
    assert glued == []


def test_every_page_is_reached_from_the_index_and_from_the_menu() -> None:
    reached, ahead = set(), [DOCS / "index.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached:
            reached.add(page)
            ahead.extend(target for _, target, _ in links(page) if target.suffix == ".md" and target.exists())
    assert set(PAGES) - reached == set()

    def leaves(entry: object) -> Iterator[str]:
        for item in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
            yield from leaves(item)
        if isinstance(entry, str):
            yield entry

    menu = list(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(menu) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


def test_pictures_are_those_of_the_script() -> None:
    """After a change: python docs/images/draw.py"""
    assert {path.name: path.read_text(encoding="utf-8") for path in draw.HERE.glob("*.svg")} == draw.pictures()


def test_the_studys_picture_says_what_it_shows_and_has_its_numbers() -> None:
    drawn = draw.pictures()["results-light.svg"]
    words = re.findall(r">([^<>]+)</text>", drawn)
    assert words[0] == "The study on the firm world, after 40 steps" and "95% interval" in words[1]
    assert {f"{method}, n={draw.study_seeds()[method]}" for method in draw.METHODS} < set(words)
    numbers = [f"{mean:.1f} ± {half:.1f}" for m in draw.METHODS for mean, half in filter(None, draw.study_rows()[m])]
    assert len(numbers) == 16 and sorted(word for word in words if "±" in word) == sorted(numbers)
    assert draw.study_rows()["ZPPO"] == [(97.4, 1.5), (31.6, 7.9)] and draw.study_seeds()["ZPPO"] == "5"


def test_the_readmes_numbers_are_the_studys() -> None:
    shown = re.findall(
        r"^\| (.+) \| ([\d.]+) ± ([\d.]+) \| ([\d.]+) ± ([\d.]+) \|$", (ROOT / "README.md").read_text(), re.M
    )
    assert len(shown) == 4
    measured = draw.study_rows()
    for label, *numbers in shown:
        method = "GRPO†" if "(GRPO†)" in label else label.partition(" (")[0]
        assert [tuple(map(float, numbers[:2])), tuple(map(float, numbers[2:]))] == measured[method], label


def metric_keys() -> set[str]:
    """Of the methods, of the buffer, and those whose last word stands in the code; `{...}` becomes X."""
    buffer = PromptReplayBuffer(2, 0.5, 0)
    buffer.update(1, [(name, 0.25, 0) for name in "abc"])
    buffer.update(2, [("c", 1.0, 0)])
    keys = {f"zppo/buffer/{key}" for key in buffer.metrics()}
    for method in METHODS.values():
        keys |= method.metrics([], {}).keys()
    for source in (ROOT / "recipe" / "zppo").rglob("*.py"):
        written = re.findall(r"\"(zppo/(?:[^\" /]+/)*[a-z_]*[a-z])\"", source.read_text(encoding="utf-8"))
        keys |= {re.sub(r"{[^}]*}", "X", key) for key in written}
    return keys


def test_every_metric_has_a_line() -> None:
    keys = metric_keys()
    listed = [re.sub("<[^>]*>", "[^/]+", key) for rows in metric_page.sections().values() for key in rows]
    assert len(keys) > 80
    assert sorted(key for key in keys if not re.fullmatch("|".join(listed), key)) == []


def test_every_line_is_of_a_metric_that_the_code_writes() -> None:
    """The other way round; of a name that the code puts together, its words stand somewhere in the code."""
    keys = metric_keys()
    code = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "recipe" / "zppo").rglob("*.py"))
    words = set(re.findall(r"[a-z_]+", code))
    for key in (key for rows in metric_page.sections().values() for key in rows if key.startswith("zppo/")):
        if any(re.fullmatch(metric_page.pattern(key), written) for written in keys):
            continue
        last = re.sub(r"(<.*?>)?/|from_<.*>|after_<.*>", " ", key.removeprefix("zppo/")).split()[-1]
        named = re.sub("^(fall_back|rejected|failed|form)_", "", last)
        assert {named, last} & words, key


def test_every_metric_has_a_unit() -> None:
    table = metric_page.PAGE.read_text(encoding="utf-8").split("| unit | range |\n")[1].split("\n\n")[0]
    units = {unit.strip() for row in table.splitlines()[1:] for unit in row.split("|")[1].split(",")}
    assert {"share", "count", "total", "tokens", "s", "nats", "number"} < units
    for title, rows in metric_page.sections().items():
        for key, cells in rows.items():
            assert cells[-3] in units | {"0 or 1"} and cells[-1], (title, key)
            assert len(cells) == 3 or cells[0] in ("both", "stack", "local"), (title, key)


def test_healthy_ranges_are_those_of_the_warnings() -> None:
    cells = metric_page.healthy_ranges()
    measured = {key: cell for key, cell in cells.items() if re.search(r"\d to|at (least|most)", cell)}
    for metric, healthy in HEALTHY.items():
        (key,) = [key for key in measured if re.fullmatch(metric_page.pattern(key), metric)]
        assert str(healthy) in measured.pop(key).split(", ") or f"`{metric.split('/')[1]}` {healthy}" in cells[key]
        measured |= {key: cells[key]} if "<kind>" in key else {}
    by_form = f"`bcq` at most {HEALTHY['zppo/bcq/accuracy'].most}"
    assert {measured.pop(f"zppo/<kind>/accuracy_{form}") for form in FORMS} == {by_form}
    assert list(measured) == ["zppo/<kind>/accuracy"]
    others = {cell for cell in cells.values() if cell not in ("-", "0", "1", "2")} - set(measured.values())
    exact = {str(healthy) for healthy in HEALTHY.values()}
    assert others - exact == {"above 0", "from a quarter of the first", by_form}
    assert ENTROPY_LEFT.least == 0.25


def test_the_map_of_the_code_names_what_is_there() -> None:
    folder = ROOT / "recipe" / "zppo"
    page = (folder / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+(?:\.py|/))`", page)) | {
        f"{command}.py" for command in re.findall(r"`([a-z_]+)`", page)
    }
    there = {path.name for path in folder.glob("[a-z]*.py")}
    there |= {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    assert named == there
