"""Every code by which a control speaks is explained to whoever meets it."""

from pathlib import Path

from mmbot import _core
from mmbot.risk import CONTROLS

PAGE = (Path(__file__).parents[3] / "docs" / "controls.md").read_text(encoding="utf-8")


def test_every_denial_is_documented_as_it_is() -> None:
    """Number, code, tier and meaning stand in one row of the page."""
    for number, name, tier, meaning in _core.denial_table():
        assert f"| {number} | `{name}` | {tier} | {meaning} |" in PAGE


def test_every_watch_is_documented_as_it_is() -> None:
    """Code, level, kind and meaning stand in one row of the page."""
    for code, control in CONTROLS.items():
        assert f"| `{code}` | {control.level.name} | {control.kind} | {control.meaning} |" in PAGE


def test_the_codes_are_apart() -> None:
    """A counter's name says which control it was."""
    names = [name for _, name, _, _ in _core.denial_table()]
    assert len({*names, *CONTROLS}) == len(names) + len(CONTROLS)
