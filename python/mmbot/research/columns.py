"""A table as plain text: what `print` shows of a study that has no screen of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = "  "


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under their header: the first column to the left, all others to the right, without trailing blanks.

    Raises ValueError for a row that has not as many cells as the header.
    """
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = GAP.join("-" * width for width in widths)
    said = [
        GAP.join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        ).rstrip()
        for line in lines
    ]
    return "\n".join([said[0], rule, *said[1:]])
