"""What an account leaves on disk between runs, and where its processes find one another.

<session.folder>/accounts/<environment>-<account>/
    freeze.jsonl       how far trading is stopped (`mmbot.ops.freeze_latch`), and freeze.head: how far that log goes
    holds.json         what the account may hold at worst, for the firm's others (`mmbot.ops.firm`)
    risk.json          what the account lost, and what its controls must not forget (`mmbot.runtime.risk`), and
                       risk.head: which one was kept last (`mmbot.ops.risk_memory`)
    breaker.json       where the breaker of the venue's API stands (`mmbot.ops.breaker_memory`)
    override.json      a signed lowering that waits for the running engine, and override-answer.json
    giving-up.json     a signed word that an order is given up, and giving-up-answer.json
    session.json       where the account trades, for whoever has to cancel there without an engine
    fleet.json         which row of which database the lease of several machines is (`mmbot.ops.leader.freezes`)
    alarms.jsonl       what a person has to look at, and who has (`mmbot.ops.alarm_log`)
    metrics.json       the numbers of the engine that trades, or traded last
    operators.toml     the public keys of who may lower a freeze
    last-run           the path of the newest run's folder
    restored.json      that this run's journal was brought back from a copy (`mmbot.ops.restoring`)
    engine             the process that trades now: its id and when it started
    epoch              the newest epoch that was used
    leader.lock        locked by the run that leads (`mmbot.ops.leader.host`)
    firm               that the freeze log of its firm was there
    guardian.sock, anchors.jsonl

<session.folder>/firm/<environment>/
    freeze.jsonl       how far trading is stopped on every account of the firm, and freeze.head, operators.toml
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["UNREADABLE", "AccountState", "FirmState", "Running", "append_line", "made", "sync_folder", "write_durably"]

UNREADABLE = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What reading the words of a file raises where it holds something else."""
_ACCOUNTS = "accounts"
_FIRM = "firm"
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Running:
    """One process, and no later one that was given the same number."""

    pid: int
    started: int
    """Its start time as the kernel counts it: ticks since boot, field 22 of /proc/PID/stat."""

    @classmethod
    def of(cls, pid: int) -> Running | None:
        """Return the process that has this number now; None where there is none, or only its remains."""
        try:
            words = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if words[0] in "ZX" else cls(pid, int(words[19]))

    @property
    def alive(self) -> bool:
        """Whether it still runs, or is stopped."""
        return Running.of(self.pid) == self


@dataclass(frozen=True, slots=True)
class AccountState:
    """The folder of one account, and the places in it."""

    path: Path

    @classmethod
    def of(cls, runs: Path, environment: str, account: str) -> AccountState:
        """Open the folder of an account below the folder of its runs, and make it where there is none.

        Raises OSError where it cannot be made, ValueError for a name that is no name of a file.
        """
        return cls.at(cls.named(runs, environment, account).path)

    @classmethod
    def named(cls, runs: Path, environment: str, account: str) -> AccountState:
        """Name the folder of an account, for who only reads there: none is made. Raises ValueError as `of` does."""
        name = f"{environment}-{account}"
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or name.startswith("."):
            raise ValueError(f"account {name!r}: expected letters, digits, '.', '_' and '-'")
        return cls((runs / _ACCOUNTS / name).resolve())

    @classmethod
    def at(cls, path: Path) -> AccountState:
        """Open the folder at this path, and make it where there is none: of an account that lives inside one run."""
        path.mkdir(parents=True, exist_ok=True)
        return cls(path.resolve())

    @classmethod
    def every(cls, runs: Path) -> list[AccountState]:
        """Every account below a folder of runs, by name; then those that live inside one run."""
        places = [*sorted((runs / _ACCOUNTS).glob("*/")), *sorted(runs.glob("*/account/"))]
        return [cls(path.resolve()) for path in places]

    @property
    def name(self) -> str:
        """How the account is called: `<environment>-<account>`, or the run that it lives in."""
        return self.path.parent.name if self.path.name == "account" else self.path.name

    @property
    def firm(self) -> FirmState | None:
        """The folder of its firm: the accounts of one environment below one folder of runs. None inside one run."""
        if self.path.parent.name != _ACCOUNTS:
            return None
        return FirmState(self.path.parent.parent / _FIRM / self.path.name.partition("-")[0])

    @property
    def firm_known(self) -> Path:
        """The path of its firm's folder, once the freeze log was there."""
        return self.path / _FIRM

    @property
    def freeze(self) -> Path:
        """The latch: how far trading is stopped."""
        return self.path / "freeze.jsonl"

    @property
    def freeze_head(self) -> Path:
        """What is remembered of the latch outside of it."""
        return self.path / "freeze.head"

    @property
    def lift(self) -> Path:
        """How far the time after a lift has come, JSON (`mmbot.ops.lift_memory`)."""
        return self.path / "lift.json"

    @property
    def risk(self) -> Path:
        """What the loss and streak controls must not forget over a restart, JSON."""
        return self.path / "risk.json"

    @property
    def breaker(self) -> Path:
        """Where the breaker of the venue's API stands, JSON."""
        return self.path / "breaker.json"

    @property
    def holds(self) -> Path:
        """What the account may hold at worst, as its run said last, JSON."""
        return self.path / "holds.json"

    @property
    def override(self) -> Path:
        """A signed lowering that waits for the running engine."""
        return self.path / "override.json"

    @property
    def operators(self) -> Path:
        """The public keys of who may lower a freeze."""
        return self.path / "operators.toml"

    @property
    def override_answer(self) -> Path:
        """What the running engine said to the signed lowering."""
        return self.path / "override-answer.json"

    @property
    def giving_up(self) -> Path:
        """A signed word that waits for the running engine: an order is given up."""
        return self.path / "giving-up.json"

    @property
    def giving_up_answer(self) -> Path:
        """What the running engine said to it."""
        return self.path / "giving-up-answer.json"

    @property
    def adjusting(self) -> Path:
        """A signed word that waits for the running engine: a position is the venue's."""
        return self.path / "adjusting.json"

    @property
    def adjusting_answer(self) -> Path:
        """What the running engine said to it."""
        return self.path / "adjusting-answer.json"

    @property
    def session(self) -> Path:
        """Where the account trades: environment, url, markets, and the names of the variables with its key."""
        return self.path / "session.json"

    @property
    def fleet(self) -> Path:
        """Which row is the account's in the database of its fleet; absent for an account of one machine."""
        return self.path / "fleet.json"

    @property
    def epoch(self) -> Path:
        """The newest epoch that was used."""
        return self.path / "epoch"

    @property
    def alarms(self) -> Path:
        """What a person has to look at now, and who has, one JSON object per line."""
        return self.path / "alarms.jsonl"

    @property
    def metrics(self) -> Path:
        """The numbers of the engine that trades, or traded last, JSON."""
        return self.path / "metrics.json"

    @property
    def anchors(self) -> Path:
        """Anchors of the journals, one JSON object per line."""
        return self.path / "anchors.jsonl"

    @property
    def guardian_socket(self) -> Path:
        """Where the guardian listens."""
        return self.path / "guardian.sock"

    @property
    def gateway_socket(self) -> Path:
        """Where the order gateway listens."""
        return self.path / "gateway.sock"

    # ---- the newest run, and who trades

    def newest_run(self) -> Path | None:
        """Return the folder of the newest run on this account; None before the first one.

        Raises OSError; ValueError for a file that names none.
        """
        file = self.path / "last-run"
        try:
            text = os.fsdecode(file.read_bytes().strip())
        except FileNotFoundError:
            return None
        if not text.startswith("/") or "\0" in text:
            raise ValueError(f"{file} says {text[:80]!r}; expected the whole path of the newest run's folder")
        return Path(text)

    @property
    def has_run(self) -> bool:
        """Whether a run ever began here, whatever `last-run` says. Raises OSError."""
        return (self.path / "last-run").exists()

    def run_begins(self, folder: Path) -> None:
        """Remember the folder of the run that begins, and this process as who trades. Raises OSError."""
        write_durably(self.path / "last-run", os.fsencode(folder.resolve()) + b"\n")
        self.trades_here()

    def trades_here(self) -> None:
        """Remember this process as who trades; the newest run is still the one before. Raises OSError."""
        me = Running.of(os.getpid())
        if me is not None:
            write_durably(self.path / "engine", f"{me.pid} {me.started}\n".encode())

    def run_ends(self) -> None:
        """Nobody trades any more, as far as this process knows."""
        with suppress(FileNotFoundError, ValueError):  # ValueError: what is not ours to read is not ours to take away
            engine = self.engine()
            if engine is not None and engine.pid == os.getpid():
                (self.path / "engine").unlink()

    def ended_in_order(self) -> bool:
        """Whether who traded last took its leave, or nobody ever traded; a process that was killed did not."""
        return not (self.path / "engine").exists()

    def engine(self) -> Running | None:
        """Return the process that trades on the account; None where there is none.

        Raises OSError; ValueError for a file that names no process: then nobody knows whether one trades.
        """
        file = self.path / "engine"
        try:
            words = file.read_bytes().split()
        except FileNotFoundError:
            return None
        if len(words) != 2 or not all(word.isdigit() and len(word) < 20 for word in words):
            raise ValueError(
                f"{file} names no process; expected its id and its start. Whether an engine runs is not known: look at "
                "leader.lock beside it, which holds the id of who leads, and take the file away once none does"
            )
        engine = Running(int(words[0]), int(words[1]))
        return engine if engine.alive else None


@dataclass(frozen=True, slots=True)
class FirmState(AccountState):
    """What holds for every account of a firm, those to come included: its freeze log, and who may lower that."""

    @classmethod
    def every_firm(cls, runs: Path) -> list[FirmState]:
        """Each firm below a folder of runs that has an account, or a folder of its own."""
        names = {path.name.partition("-")[0] for path in (runs / _ACCOUNTS).glob("*-*/")}
        names |= {path.name for path in (runs / _FIRM).glob("*/")}
        return [cls((runs / _FIRM / name).resolve()) for name in sorted(names)]

    @property
    def accounts(self) -> list[AccountState]:
        """Its accounts so far, by name."""
        return [AccountState(path) for path in sorted((self.path.parents[1] / _ACCOUNTS).glob(f"{self.path.name}-*/"))]

    @property
    def name(self) -> str:
        """How it is called."""
        return f"firm {self.path.name}"

    @property
    def firm(self) -> FirmState | None:
        """None: it is one."""
        return None

    @property
    def has_run(self) -> bool:
        """Whether any of its accounts saw its freeze log, here and not where it was copied from. Raises OSError."""
        here, known = os.fsencode(self.path), [each.firm_known for each in self.accounts]
        return any(mark.read_bytes() == here for mark in known if mark.exists())


def write_durably(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Put content in place of what is there, whole or not at all; on the disk when this returns. Raises OSError.

    mode: who may read it, less what the process lets nobody.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)  # of a process that had this number and was killed
    with os.fdopen(made(fresh, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def append_line(file: int, path: Path, line: bytes) -> None:
    """Append a line for good to a file that is open to read and to append; one that its writer died in is ended first.

    Raises OSError, also where a part of it was written.
    """
    size = os.fstat(file).st_size
    torn = size and os.pread(file, 1, size - 1) != b"\n"
    whole = (b"\n" if torn else b"") + line
    if os.write(file, whole) != len(whole):
        raise OSError(f"{path}: only a part of a line was written; is the disk full?")
    os.fsync(file)


def made(path: Path, mode: int) -> int:
    """Make a file where none is, and open it to write. Raises OSError.

    It is of the folder's group, where this user may give it that; and what root makes in a folder of somebody else's is
    that one's: an engine can go on where root froze it.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    folder = path.parent.stat()
    with suppress(PermissionError):  # not a group of ours
        os.fchown(file, folder.st_uid if os.geteuid() == 0 else -1, folder.st_gid)
    return file


def sync_folder(path: Path) -> None:
    """Make names in a folder durable. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
