"""Warn or fail: what `--strict` changes, decided in one place for every command here.

Without it a doubt is told, kept in the notes of what is written, and the command goes on without what it doubts; with
it the first doubt ends the command. A doubt is something that a person can mend before the next run; what makes a
result wrong is an error in both modes, and never a doubt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Doubts", "StrictError"]


class StrictError(ValueError):
    """A doubt, under `--strict`."""


def _nobody(_text: str) -> None:
    """Hear nothing."""


@dataclass
class Doubts:
    """What a command goes on in spite of."""

    strict: bool = False
    tell: Callable[[str], object] = _nobody
    """Who hears of a doubt at once, such as a terminal."""
    notes: list[str] = field(default_factory=list)
    """Every doubt so far."""

    def warn(self, doubt: str, instead: str = "") -> None:
        """Say what is in doubt, and what is done instead. Raises StrictError under `--strict`."""
        if self.strict:
            raise StrictError(f"{doubt} (only a warning without --strict)")
        text = f"{doubt}; {instead}" if instead else doubt
        self.notes.append(text)
        self.tell(text)
