"""Checks boundaries.md: every code by which a control speaks has a test on both sides of its boundary."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest
from spec_tables import tables

from mmbot import _core
from mmbot.execution.throttle import Denial as GateDenial
from mmbot.gateway.core import Rule
from mmbot.risk import CONTROLS
from mmbot.risk.verdict import RiskGuard

ROOT = Path(__file__).parents[2]
EVERY_CODE = {
    *(name for _, name, _, _ in _core.denial_table()),
    *CONTROLS,
    *(f"gateway:{rule}" for rule in get_args(Rule)),
    *(f"guard:{guard}" for guard in RiskGuard),
    *(one.value for one in (GateDenial.DECISION_AGE, GateDenial.THROTTLED, GateDenial.BREAKER_OPEN)),
    GateDenial.TAKER_SHARE.value,
}
BOUNDARY_TABLE = Path(__file__).with_name("boundaries.md").read_text(encoding="utf-8")


def of_rust(text: str, name: str, code: str) -> tuple[bool, bool]:
    """Whether a Rust test denies by a code, and lets something through."""
    body = re.search(rf"#\[test\]\nfn {name}\(\) \{{\n(.*?)\n\}}\n", text, re.DOTALL)
    assert body is not None, f"no test {name}"
    variant = "".join(part.title() for part in code.split("_"))
    beyond = re.search(rf"Denial::{variant}\b|&\[[^\]]*\b{variant}\b[^\]]*\]", body[1])
    return beyond is not None, re.search(r"&\[\]\)|\bNone\)|Denials::NONE", body[1]) is not None


def of_python(text: str, name: str, code: str) -> tuple[bool, bool]:
    """Likewise of a Python test: what it compares with, or takes as a parameter, has the code, and nothing at all."""
    found = [each for each in ast.parse(text).body if isinstance(each, ast.FunctionDef) and each.name == name]
    assert len(found) == 1, f"no test {name}"
    said = list(ast.walk(found[0]))
    beyond = any(isinstance(each, ast.Constant) and each.value == SAID_AS.get(code, code) for each in said)
    return beyond, any(isinstance(each, ast.List) and not each.elts for each in said)


def of_table(path: Path, title: str, code: str) -> tuple[bool, bool]:
    """Likewise of a table that is executed: rows that ask for it, and rows that do not."""
    assert f'"{path.name}"' in path.with_name(f"test_spec_{path.stem}.py").read_text(encoding="utf-8")
    rows = [row for table in tables(path) if table.title == title for row in table.rows]
    asked = [code in re.findall(r"[a-z_]+", row.get("asks", row.get("triggers", ""))) for row in rows]
    return any(asked), not all(asked)


SAID_AS = {
    "decision_age": "decided",
    "throttled": "calls in the last",
    "breaker_open": "breaker",
    "taker_share": "taker share",
}
"""Where a test looks at the words of a refusal."""
BOUNDARIES = dict(re.findall(r"^\| `([a-z_:]+)` +\| `([^`]+)` +\|$", BOUNDARY_TABLE, re.MULTILINE))


def test_every_code_names_its_boundary_test() -> None:
    """And no row is of a code that there is not."""
    assert sorted(BOUNDARIES) == sorted(EVERY_CODE)


@pytest.mark.parametrize("code", sorted(EVERY_CODE))
def test_a_boundary_test_has_both_sides(code: str) -> None:
    """It is there, it ends in what the code does, and it lets something through: otherwise it shows no boundary."""
    place, _, name = BOUNDARIES[code].partition("::")
    path, said = ROOT / place, code.rpartition(":")[2]
    match path.suffix:
        case ".rs":
            sides = of_rust(path.read_text(encoding="utf-8"), name, said)
        case ".md":
            sides = of_table(path, name, said)
        case _:
            sides = of_python(path.read_text(encoding="utf-8"), name, said)
    assert sides == (True, True), f"{BOUNDARIES[code]}: (denies by {code}, lets something through) is {sides}"


@pytest.mark.parametrize("spoiled", ["Denial::Rate", "Denials::NONE"])
def test_a_rust_test_without_one_side_is_seen(spoiled: str) -> None:
    """The check bites: without what is denied, or without what passes, it is no boundary test."""
    text = (ROOT / "crates/engine/src/limits/tests.rs").read_text(encoding="utf-8")
    assert of_rust(text, "the_rates_at_their_boundaries", "rate") == (True, True)
    assert of_rust(text.replace(spoiled, "()"), "the_rates_at_their_boundaries", "rate") != (True, True)
    with pytest.raises(AssertionError, match="no test"):
        of_rust(text, "the_rates", "rate")


def test_a_table_or_a_python_test_without_one_side_is_seen(tmp_path: Path) -> None:
    """Likewise."""
    one_sided = "def test_it():\n    assert asked() == ['rate']\n"
    assert of_python(one_sided, "test_it", "rate") == (True, False)
    assert of_python(one_sided, "test_it", "age") == (False, False)
    (tmp_path / "test_spec_x.py").write_text('"x.md"')
    (tmp_path / "x.md").write_text("# One\n\n| asks |\n|------|\n| edge |\n")
    assert of_table(tmp_path / "x.md", "One", "edge") == (True, False)
    assert of_table(tmp_path / "x.md", "Another", "edge") == (False, False)
