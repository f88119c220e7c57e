"""What checks find: PASS, WARN, FAIL or SKIP, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "Status", "worst"]

Status: TypeAlias = Literal["PASS", "WARN", "FAIL", "SKIP"]
_ORDER: Final[tuple[Status, ...]] = ("FAIL", "WARN")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found. `hint` says what to do; empty where there is nothing to do."""

    check: str
    status: Status
    detail: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.status:<4}  {self.check}: {self.detail}" + (f"\n      → {self.hint}" if self.hint else "")


def worst(findings: Iterable[Finding]) -> Status:
    """The verdict of all: FAIL before WARN before PASS; what was skipped says nothing."""
    seen = {finding.status for finding in findings}
    return next((status for status in _ORDER if status in seen), "PASS")
