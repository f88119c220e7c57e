"""How a run ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from mmbot.research.result import Result

__all__ = ["Ended"]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """`result` is None where nothing was heard that could be reported; `failure`, where it ended as it was asked to.

    `books`: position, cash and counts of each instrument, in whole lots and 10^-12.
    """

    folder: Path
    result: Result | None
    failure: Exception | None
    books: Sequence[Mapping[str, Any]]
