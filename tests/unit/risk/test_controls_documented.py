"""Every code by which a control speaks is explained, and tested at its boundary; every control is in the list."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from mmbot import _core
from mmbot.config import RiskConfig, SessionConfig
from mmbot.config.schema import LimitsConfig
from mmbot.execution.throttle import Denial as GateDenial
from mmbot.gateway.core import Rule
from mmbot.risk import CONTROLS
from mmbot.risk.verdict import RiskGuard

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/controls.md").read_text(encoding="utf-8")
GATEWAY = (ROOT / "docs/gateway.md").read_text(encoding="utf-8")
DENIALS = [name for _, name, _, _ in _core.denial_table()]
RULES = [str(rule) for rule in get_args(Rule)]
OF_THE_GATE = (GateDenial.DECISION_AGE, GateDenial.THROTTLED, GateDenial.BREAKER_OPEN, GateDenial.TAKER_SHARE)
EVERY_CODE = {*DENIALS, *CONTROLS, *(one.value for one in OF_THE_GATE)}
EVERY_CODE |= {f"gateway:{rule}" for rule in RULES} | {f"guard:{guard}" for guard in RiskGuard}


def listed() -> Iterator[list[str]]:
    """The rows of the list of controls."""
    section = PAGE.split("## Every control, by its number")[1].split("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].isdecimal():
            yield cells


ROWS = list(listed())


def test_every_denial_is_documented_as_it_is() -> None:
    """Number, code, tier and meaning stand in one row of the page."""
    for number, name, tier, meaning in _core.denial_table():
        assert f"| {number} | `{name}` | {tier} | {meaning} |" in PAGE


def test_every_watch_is_documented_as_it_is() -> None:
    """Code, level, kind and meaning stand in one row of the page."""
    for code, control in CONTROLS.items():
        assert f"| `{code}` | {control.level.name} | {control.kind} | {control.meaning} |" in PAGE


def test_every_rule_of_the_gateway_is_documented() -> None:
    """In the table of what it refuses."""
    rows = "".join(re.findall(r"^\| (`[^|]*)\|", GATEWAY, re.MULTILINE))
    assert [rule for rule in RULES if f"`{rule}`" not in rows] == []


def test_the_codes_are_apart() -> None:
    """A counter's name says which control it was."""
    assert len({*DENIALS, *CONTROLS}) == len(DENIALS) + len(CONTROLS)


def test_all_controls_are_in_the_list() -> None:
    """One to 35, and no code is in no row."""
    assert [int(row[0]) for row in ROWS] == list(range(1, 36))
    said = {code for row in ROWS for code in re.findall(r"`([a-z_:]+)`", row[3])}
    assert sorted(EVERY_CODE - said) == []


def settings() -> dict[str, Any]:
    """Every key that a row may name, with its default."""
    found: dict[str, Any] = {name: field.default for name, field in RiskConfig.model_fields.items()}
    for table, model in (("limits", LimitsConfig), ("session", SessionConfig)):
        found |= {f"{table}.{name}": field.default for name, field in model.model_fields.items()}
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_a_row_names_what_there_is(row: list[str]) -> None:
    """Codes that speak, keys with their defaults, and a boundary test wherever a code speaks."""
    known = settings()
    codes = [code for code in re.findall(r"`([a-z_:]+)`", row[3]) if code != "launch"]
    assert [code for code in codes if code not in EVERY_CODE] == []
    for key, said in re.findall(r"`([a-z_.]+)`(?: ([0-9.-]+|none|true|false)(?=[, ]|$))?", row[4]):
        assert key in known, key
        default = known[key]
        if said:
            assert said == (
                "none" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
            )
    assert bool(codes) == bool(row[5])
