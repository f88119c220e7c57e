"""Who did what on an account, as one chained text: a view of its freeze log and of its runs' journals.

    freeze.jsonl ─────────┐
    restored.json ────────┼─▶ acts, by time ─▶ chained lines ─▶ audit.jsonl, or a file for each day
    runs' journals ───────┘                         │
                                                    └─▶ verify: chain, head, and what the logs say now

Nothing is recorded here a second time: the logs are the record, with chains and anchors of their own. A dump is what
leaves the machine. A line of it:

    {"seq": 3, "ts": …, "utc": "2026-11-28T10:00:00Z", "actor": "operator", "act": "froze", "words": {…},
     "source": "freeze.jsonl:2", "prev": "<hash of the line before>", "hash": "<SHA-256 of prev and the rest>"}

A chain shows every change that leaves later lines as they were. One that is written anew from some line on fits itself:
against that, keep the last hash elsewhere (`head`), or hold the dump against the logs. Not in it: who acknowledged an
alarm (its line has no time), and what people did at the venue.
"""

from __future__ import annotations

import time
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

from mmbot import _core
from mmbot.guardian.anchors import read_anchors
from mmbot.ops.account_state import AccountState, write_durably
from mmbot.ops.freeze_latch import read_operators
from mmbot.risk.freeze import FreezeBoard, Lowering
from mmbot.risk.freeze_log import canonical, override_words, read
from mmbot.risk.levels import FreezeLevel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from mmbot.risk.freeze import FreezeInput

__all__ = ["Act", "Line", "Verified", "acts", "chained", "dump", "utc_day", "verify"]

BEGIN = "0" * 64
"""What the first line follows."""
NOTES = {"given up": "gave up an order", "adopted position": "adopted a position"}
"""What a person decided, by the topic of its note; freezes are in the freeze log."""
_NS = 1_000_000_000


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody did, or had done."""

    ts: int
    """ns since epoch."""
    actor: str
    """Who: people by their enrolled names, "operator" for whoever had the machine, a control by its code."""
    act: str
    words: dict[str, Any]
    source: str
    """Where it is recorded: a file and its line, or a journal and its entry."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a dump."""

    seq: int
    ts: int
    utc: str
    actor: str
    act: str
    words: dict[str, Any]
    source: str
    prev: str
    hash: str = ""

    @property
    def due(self) -> str:
        """What its hash has to be."""
        words = {name: word for name, word in msgspec.to_builtins(self).items() if name != "hash"}
        return sha256(canonical(words).encode()).hexdigest()

    @property
    def said(self) -> Act:
        """What it says, without its place in the chain."""
        return Act(ts=self.ts, actor=self.actor, act=self.act, words=self.words, source=self.source)


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a dump is worth."""

    lines: int
    """Good lines from the beginning on."""
    first: int
    """Number of the first; what was done before it is in another file, or was taken out."""
    head: str
    """Hash of the last of them."""
    fault: str = ""
    """The first thing that is wrong: which line, what was expected; "" if nothing is."""


# ---- what was done


def acts(state: AccountState) -> list[Act]:
    """Everything that is recorded of an account, by time. Raises OSError, AnchorFault."""
    found = [*_freezes(state), *_restored(state)]
    for folder in _runs(state):
        found += _of_run(folder)
    started = sorted((one for one in found if one.act == "started"), key=lambda one: one.ts)
    found += [changed for before, after in pairwise(started) for changed in _configured(before, after)]
    return sorted((_plain(one) for one in found), key=lambda one: one.ts)  # stable: within a source, its own order


def _plain(act: Act) -> Act:
    """Words as they come back from JSON, and a configuration by its hash alone: the journal has it whole."""
    words = {name: word for name, word in act.words.items() if name != "config"}
    return msgspec.structs.replace(act, words=msgspec.json.decode(msgspec.json.encode(words)))


def _freezes(state: AccountState) -> Iterator[Act]:
    try:
        raw = state.freeze.read_bytes()
    except FileNotFoundError:
        return
    inputs, _ = read(raw)
    operators = read_operators(state.operators)
    lowered = {(one.ts, one.scope): one.by for one in FreezeBoard(operators).rebuild(inputs) if one.kind == "lowered"}
    numbers = (number for number, line in enumerate(raw.split(b"\n"), 1) if line)
    for number, said in zip(numbers, inputs, strict=True):
        yield _frozen(said, lowered, f"{state.freeze.name}:{number}")


def _frozen(said: FreezeInput, lowered: dict[Any, tuple[str, ...]], source: str) -> Act:
    if isinstance(said, Lowering):
        by = lowered.get((said.ts, said.override.scope))
        words = {**override_words(said.override), "reconciled": said.reconciled.said}
        act = "lift refused" if by is None else "lifted"
        return Act(ts=said.ts, actor=" and ".join(by or ()) or "nobody", act=act, words=words, source=source)
    words = {"level": said.level.name, "scope": str(said.scope), "reason": said.reason}
    act = "killed" if said.level is FreezeLevel.KILL else "froze"
    return Act(ts=said.ts, actor=said.control, act=act, words=words, source=source)


def _restored(state: AccountState) -> Iterator[Act]:
    mark = state.path / "restored.json"
    if mark.exists():
        ts, words = mark.stat().st_mtime_ns, msgspec.json.decode(mark.read_bytes())
        yield Act(ts=ts, actor="operator", act="restored from a copy", words={"said": words}, source=mark.name)


def _runs(state: AccountState) -> list[Path]:
    """The folders of the runs on an account: those whose journal says so, and those that were anchored for it."""
    if state.path.name == "account":
        return [state.path.parent]
    runs = state.path.parent.parent
    named = (
        {anchor.journal.partition("/")[0] for anchor in read_anchors(state.anchors)} if state.anchors.exists() else {}
    )
    newest = state.newest_run()
    return [
        folder
        for folder in sorted(path.parent for path in runs.glob("*/journal.mmj"))
        if folder.name in named or folder == newest or _account_of(folder) == state.name
    ]


def _account_of(folder: Path) -> str:
    try:
        _, _, _, fields = next(iter(_core.JournalReader(folder / "journal.mmj")))
        return str(msgspec.json.decode(str(fields["text"])).get("account", ""))
    except (_core.JournalFault, StopIteration, msgspec.MsgspecError, KeyError, AttributeError):
        return ""


def _of_run(folder: Path) -> Iterator[Act]:
    name, ts = f"{folder.name}/journal.mmj", 0
    entries = _core.JournalReader(folder / "journal.mmj")
    while True:
        try:
            seq, ts, kind, fields = next(entries)
        except StopIteration:
            return
        except _core.JournalFault as error:
            words = {"fault": str(error)}
            yield Act(ts=ts, actor="journal", act="cannot be read on", words=words, source=name)
            return
        found = _entry(kind, fields)
        if found is not None:
            actor, act, words = found
            yield Act(ts=ts, actor=actor, act=act, words=words, source=f"{name}:{seq}")


def _entry(kind: str, fields: dict[str, Any]) -> tuple[str, str, dict[str, Any]] | None:
    topic = str(fields.get("topic", ""))
    if kind not in ("run_start", "run_end") and not (kind == "note" and topic in NOTES):
        return None
    words = msgspec.json.decode(str(fields["text"]))
    if kind == "note":
        return str(words.get("by", "operator")), NOTES[topic], words
    if kind == "run_end":
        return "run", "ended", words
    kept = ("mode", "environment", "account", "version", "config_hash", "code_hash", "share", "config")
    return str(words.get("by", "operator")), "started", {one: words.get(one) for one in kept}


def _configured(before: Act, after: Act) -> Iterator[Act]:
    """What the run's configuration says that the one before said otherwise."""
    old, new = _flat(before.words.get("config") or {}), _flat(after.words.get("config") or {})
    changed = {name: [old.get(name), new.get(name)] for name in sorted({*old, *new}) if old.get(name) != new.get(name)}
    if changed:
        yield Act(ts=after.ts, actor=after.actor, act="changed the configuration", words=changed, source=after.source)


def _flat(words: Any, name: str = "") -> dict[str, Any]:  # noqa: ANN401  whatever JSON holds
    if isinstance(words, dict):
        pairs: Iterable[tuple[str, Any]] = (
            (f"{name}.{one}" if name else str(one), word) for one, word in words.items()
        )
    elif isinstance(words, list):
        pairs = ((f"{name}[{at}]", word) for at, word in enumerate(words))
    else:
        return {name: words}
    return {one: word for path, inner in pairs for one, word in _flat(inner, path).items()}


# ---- as lines


def chained(of: Sequence[Act]) -> list[Line]:
    """The acts as lines, each of which names the one before."""
    lines: list[Line] = []
    prev = BEGIN
    for seq, one in enumerate(of):
        words = {name: getattr(one, name) for name in one.__struct_fields__}
        line = Line(seq=seq, utc=_utc(one.ts), prev=prev, **words)
        line = msgspec.structs.replace(line, hash=line.due)
        prev = line.hash
        lines.append(line)
    return lines


def dump(state: AccountState, out: Path, day: str | None = None) -> list[Line]:
    """Write the account's acts, or those of one day (UTC, 2026-11-28), to a file; return its lines.

    A day's first line names the last one of the day before. Raises OSError, AnchorFault.
    """
    lines = [line for line in chained(acts(state)) if day is None or utc_day(line.ts) == day]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_durably(out, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return lines


def verify(files: Sequence[Path], *, head: str | None = None, state: AccountState | None = None) -> Verified:
    """Check dumps that follow one another: every hash, every link; the last hash, and what the logs say now, if given.

    Raises OSError, AnchorFault.
    """
    lines, fault = _read(files)
    if not fault and not lines and head is None and state is None:
        fault = "there is no line in them, which says nothing; hold them against --head or --logs"
    last = lines[-1].hash if lines else BEGIN
    if not fault and head not in (None, last):
        fault = f"the last hash is {last}; expected {head}"
    if not fault and state is not None:
        fault = _unlike(lines, acts(state))
    return Verified(lines=len(lines), first=lines[0].seq if lines else 0, head=last, fault=fault)


def _read(files: Sequence[Path]) -> tuple[list[Line], str]:
    """Return the good lines up to the first bad one, and what is wrong with that."""
    lines: list[Line] = []
    for file in files:
        for number, raw in enumerate(file.read_bytes().splitlines(), 1):
            where = f"{file}:{number}"
            try:
                line = msgspec.json.decode(raw, type=Line)
            except msgspec.MsgspecError as error:
                return lines, f"{where}: {error}; expected a line of an audit dump"
            fault = _out_of_place(line, lines[-1] if lines else None)
            if not fault and raw != msgspec.json.encode(line):
                fault = f"line {line.seq} is not as a dump writes it: something was put in, or written in another way"
            if fault:
                return lines, f"{where}: {fault}"
            lines.append(line)
    return lines, ""


def _out_of_place(line: Line, before: Line | None) -> str:
    if line.hash != line.due:
        return f"line {line.seq} was changed: its hash is {line.hash}, and what it says has {line.due}"
    if line.utc != _utc(line.ts):
        return f"line {line.seq} says {line.utc}, and its time is {_utc(line.ts)}"
    if before is None:
        at_begin = (line.seq == 0) == (line.prev == BEGIN)
        return "" if at_begin else f"line {line.seq} does not follow what it says: {line.prev}"
    if (line.seq, line.prev) != (before.seq + 1, before.hash):
        return f"line {line.seq} does not follow line {before.seq}: lines were taken out, put in or swapped"
    return ""


def _unlike(lines: Sequence[Line], recorded: Sequence[Act]) -> str:
    """What a dump says and the logs do not, or the other way round within its time."""
    known = {msgspec.json.encode(one, order="sorted"): one for one in recorded}
    said = {msgspec.json.encode(line.said, order="sorted") for line in lines}
    for line in lines:
        if msgspec.json.encode(line.said, order="sorted") not in known:
            return f"line {line.seq} says what {line.source} does not: {line.act} by {line.actor}"
    if not lines:
        return f"there is no line in them, and the logs say {len(recorded)} things" if recorded else ""
    whole, day = lines[0].seq == 0, utc_day(lines[0].ts)  # a dump begins with the first act there is, or of a day
    for text, one in known.items():
        since = whole or utc_day(one.ts) >= day
        if since and one.ts < lines[-1].ts and text not in said:
            return f"{one.source} says what no line does: {one.act} by {one.actor} at {_utc(one.ts)}"
    return ""


def _utc(ts: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ts // _NS))


def utc_day(ts: int) -> str:
    """The day of a time (ns since epoch), UTC."""
    return _utc(ts)[:10]
