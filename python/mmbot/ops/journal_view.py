"""A journal for people and for other programs: chosen entries as lines, and all of them as JSON lines or Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from mmbot import _core

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["KINDS", "Chosen", "Shown", "check_kinds", "export", "moment", "shown"]

KINDS = (
    *("run_start", "event", "wake", "intent", "command", "denied", "cancel_asked", "halt", "note", "state_hash"),
    *("run_end", "opening", "adopted", "outside", "ordered", "snapshot", "carried"),
)
"""Kinds of entries that there are (`crates/journal/src/entry.rs`), by number."""

KINDS_OF_COLUMNS = ("order_id", "instrument", "command", "event", "side", "tick", "lots", "topic")
"""Fields that have a column of their own in Parquet; all of them are in `fields`, as JSON."""


class Shown(msgspec.Struct, frozen=True):
    """One entry: number, time (ns since epoch), kind and fields as `_core.JournalReader` tells them."""

    seq: int
    time: int
    kind: str
    fields: dict[str, Any]

    def __str__(self) -> str:
        told = " ".join(
            f"{name}={_word(word)}" for name, word in self.fields.items() if word is not None and word != ""
        )
        return f"{self.seq:>8}  {_clock(self.time)}  {self.kind:<13} {told}".rstrip()

    def json(self) -> bytes:
        """One line of JSON, without its end."""
        return msgspec.json.encode(self)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Which entries are meant: all that every given word fits."""

    order: int | None = None
    """Our number of an order."""
    text: str | None = None
    """Part of any text of an entry: a client order id, an execution id, a venue's reason."""
    kinds: tuple[str, ...] = ()
    """Kinds of entries; none: all of them."""
    since: int | None = None
    """Earliest time, ns since epoch."""
    until: int | None = None
    """Latest time, ns since epoch."""

    def has(self, entry: Shown) -> bool:
        """Whether this entry is meant."""
        if self.kinds and entry.kind not in self.kinds:
            return False
        if self.order is not None and entry.fields.get("order_id") != self.order:
            return False
        if not (self.since or entry.time) <= entry.time <= (entry.time if self.until is None else self.until):
            return False
        return self.text is None or any(self.text in word for word in entry.fields.values() if isinstance(word, str))


def check_kinds(kinds: Iterable[str]) -> None:
    """Raise ValueError for a kind that there is not: no entry would be one, which reads like an empty journal."""
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"no entry is of kind {', '.join(map(repr, unknown))}; expected one of {', '.join(KINDS)}")


def moment(text: str) -> int:
    """Read a time: ns since epoch, or ISO 8601 (UTC unless it says otherwise). Raises ValueError."""
    if text.isdecimal():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time; expected 2026-11-28T01:30:00 or ns since epoch") from error
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def shown(journal: Path, chosen: Chosen) -> Iterator[Shown]:
    """The entries that are meant, in order, each checked. Raises OSError, JournalFault where the good part ends."""
    for seq, time, kind, fields in _core.JournalReader(journal):
        entry = Shown(seq, time, kind, fields)
        if chosen.has(entry):
            yield entry


def export(journal: Path, out: Path) -> int:
    """Write all entries to a file, .jsonl or .parquet by its ending; return how many.

    Parquet is made in memory. Raises OSError, JournalFault, and ValueError for another ending and a file that is there.
    """
    if out.exists():
        raise ValueError(f"{out} is there already, and nothing is written over; give another name, or remove it")
    entries = shown(journal, Chosen())
    match out.suffix:
        case ".jsonl":
            with out.open("wb") as lines:
                return sum(1 for entry in entries if lines.write(entry.json() + b"\n"))
        case ".parquet":
            return _parquet(entries, out)
    raise ValueError(f"{out}: the ending says the format; expected .jsonl or .parquet")


def _parquet(entries: Iterator[Shown], out: Path) -> int:
    import polars as pl  # noqa: PLC0415  loaded when there is something to frame

    schema: dict[str, Any] = {"seq": pl.Int64, "time": pl.Int64, "kind": pl.String}
    schema |= {name: pl.String for name in KINDS_OF_COLUMNS}
    schema |= dict.fromkeys(("order_id", "instrument", "tick", "lots"), pl.Int64) | {"fields": pl.String}
    columns: dict[str, list[Any]] = {name: [] for name in schema}
    for entry in entries:
        for name in ("seq", "time", "kind"):
            columns[name].append(getattr(entry, name))
        for name in KINDS_OF_COLUMNS:
            columns[name].append(entry.fields.get(name))
        columns["fields"].append(msgspec.json.encode(entry.fields).decode())
    frame = pl.DataFrame(columns, schema=schema).with_columns(pl.from_epoch("time", time_unit="ns"))
    frame.write_parquet(out)
    return frame.height


def _clock(time: int) -> str:
    seconds, ns = divmod(time, 1_000_000_000)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09}Z"
    except (ValueError, OverflowError, OSError):
        return f"{time} ns"


def _word(word: object) -> str:
    return word if isinstance(word, str) else msgspec.json.encode(word).decode()
