"""docs/reliability.md cites what there is: a promise whose check has another name by now is a promise nobody checks."""

import re
from pathlib import Path

from mmbot.simulation.faults import KINDS
from mmbot.simulation.planted import BUGS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text("utf-8")
TESTS = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))
CRATES = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "crates").rglob("*.rs")))


def test_every_file_that_is_cited_exists():
    """A path under tests, crates, benches or docs, or the name of a test file."""
    paths = re.findall(r"`((?:tests|crates|benches)/[\w./-]+)`", PAGE)
    files = re.findall(r"`(test_\w+\.py)`", PAGE)
    assert len(paths) > 20
    missing = [path for path in paths if not any(ROOT.glob(path))]
    missing += [name for name in files if not any((ROOT / "tests").rglob(name))]
    assert not missing


def test_every_test_that_is_cited_exists():
    """By its whole name, or by its beginning where the page ends it with an ellipsis."""
    names = re.findall(r"`(test_\w+)(…?)`", PAGE)
    assert len(names) > 20
    assert not [name for name, more in names if not re.search(rf"def {name}{'' if more else '[(]'}", TESTS)]
    rust = re.findall(r"`((?:a|what|nothing)_\w+)`", PAGE)
    assert not [name for name in rust if f"fn {name}(" not in CRATES]


def test_every_fault_and_planted_bug_that_is_cited_is_one():
    """The simulator knows them by these names."""
    faults = {
        name for cited in re.findall(r"sim ((?:`[\w ]+`(?:, )?)+)", PAGE) for name in re.findall(r"`([\w ]+)`", cited)
    }
    bugs = {
        name
        for cited in re.findall(r"planted ((?:\"[\w -]+\"(?:, )?)+)", PAGE)
        for name in re.findall(r"\"([\w -]+)\"", cited)
    }
    assert len(faults) > 20
    assert len(bugs) > 8
    assert not faults - set(KINDS)
    assert not bugs - set(BUGS)


def test_every_row_of_the_catalogue_has_a_result():
    """84 rows, each with what it was tested by and what came of it."""
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(range(1, 85))
    assert {result for *_, result in rows} <= {"held", "held in part", "**not covered**", "n/a"}
    assert not [
        number for number, tested, result in rows if ("not covered" in tested) != (result not in ("held", "n/a"))
    ]
