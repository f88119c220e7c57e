"""Plain text tables."""

import pytest

from mmbot.research.columns import aligned


def test_columns_line_up() -> None:
    """Names to the left, numbers to the right, nothing behind the last one."""
    assert aligned(["name", "n", ""], [["a", "10", ""]]) == "name   n\n----  --  \na     10"


def test_a_row_with_a_missing_cell_is_refused() -> None:
    """A ragged table would put numbers under the wrong name."""
    with pytest.raises(ValueError, match="shorter"):
        aligned(["name", "n"], [["a"]])
