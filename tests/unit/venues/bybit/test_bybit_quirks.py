"""The list of quirks leans on tests: each that it names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[4]
QUIRKS = ROOT / "python" / "mmbot" / "venues" / "bybit" / "QUIRKS.md"


def test_every_quirk_names_a_test_that_exists() -> None:
    """A line of the list without a living test would be a promise that nobody keeps."""
    defined = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        defined |= set(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    rows = [line for line in QUIRKS.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert set(named) <= defined, row
