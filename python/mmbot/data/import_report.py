"""What an import met: every line is accounted for."""

from pathlib import Path

import msgspec
from rich.table import Table

from mmbot.data.clock import ClockShift
from mmbot.data.scribe import Counted


class ImportReport(Counted, kw_only=True):
    """Result of one import. Times in ns, touch in decimal strings, `bytes_per_event` over the tape's file.

    `lines` counts by kind what was read.
    """

    tape: str
    venue: str
    symbol: str
    lines: dict[str, int] = msgspec.field(default_factory=dict)
    crossed: int = 0
    repeated_levels: int = 0
    recv_corrections: int = 0
    venue_corrections: int = 0
    clock: ClockShift | None = None
    tape_hash: str = ""
    events: int = 0
    span_ns: int = 0
    bytes: int = 0
    bytes_per_event: float = 0.0
    last_bid: str | None = None
    last_ask: str | None = None

    def json(self) -> str:
        """The report as JSON with sorted keys and a final newline: the same import gives the same text."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=2).decode() + "\n"

    def table(self) -> Table:
        """The report for a person."""
        table = Table("what", "value", title=f"{self.venue} {self.symbol} → {Path(self.tape).name}")
        for key, value in msgspec.to_builtins(self, order="deterministic").items():
            if isinstance(value, dict):
                for name, count in sorted(value.items()):
                    table.add_row(f"{key}: {name}", str(count))
            else:
                table.add_row(key, str(value))
        return table
