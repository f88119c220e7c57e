"""Every switch of the market side has a mark of where it comes from, and a row in the documentation."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from mmbot.exchange.public_switches import PublicSwitches

PAGE = Path(__file__).parents[3] / "docs" / "exchange.md"


def test_each_switch_is_in_the_page_as_the_model_has_it():
    """Name, default, mark and meaning: the table is the model, in its order."""
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (doc|obs|inf|sim) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.M)
    expected = []
    for name, field in PublicSwitches.model_fields.items():
        default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
        described = re.fullmatch(r"\[(\w+)\] (.+)", (field.description or "").replace("\n", " "))
        assert described, f"{name} needs a mark and a meaning"
        expected.append((name, default, described[1], described[2]))
    assert rows == expected


def test_a_switch_that_is_not_there_is_an_error():
    """As every configuration, switches refuse a slip of the pen."""
    with pytest.raises(ValidationError, match="did you mean 'beat_ms'"):
        PublicSwitches.model_validate({"beet_ms": 5})
