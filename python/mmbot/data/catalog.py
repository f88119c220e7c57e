"""Which tape is meant by a name, and which market by a configured instrument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot import samples
from mmbot._core import Tape

if TYPE_CHECKING:
    from os import PathLike

    from mmbot.config import InstrumentConfig
    from mmbot.venues.port import Market

SAMPLE = "sample:"
"""What a bundled tape's name begins with."""


def open_tape(path: str | PathLike[str]) -> Tape:
    """Opens a `.tape` (mapped), a `.tapez` (unpacked into memory), or a bundled one, as `sample:NAME`.

    Raises OSError, TapeFault, or ValueError naming the known samples.
    """
    if isinstance(path, str) and path.startswith(SAMPLE):
        return samples.sample(path.removeprefix(SAMPLE))
    return Tape.open(path)


def market_of(instrument: InstrumentConfig) -> Market:
    """Category and symbol of a configured instrument at the venue: as it says, else as its tape does.

    Raises what opening the tape raises.
    """
    if instrument.category is not None and instrument.symbol is not None:
        return instrument.category, instrument.symbol
    recorded = open_tape(instrument.recording).instrument
    return instrument.category or recorded.kind, instrument.symbol or recorded.symbol
