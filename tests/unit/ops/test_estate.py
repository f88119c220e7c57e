"""What a start takes over of a journal: all of it, what is left of it, or what is good of it and a freeze."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from mmbot import _core
from mmbot.config import ConfigError
from mmbot.guardian.anchors import AnchorKeeper, read_anchors
from mmbot.guardian.words import Head
from mmbot.ops.account_state import AccountState
from mmbot.ops.estate import left_on
from mmbot.ops.evidence import believed
from mmbot.runtime.bridge import Listed
from mmbot.venues.port import InstrumentTerms

if TYPE_CHECKING:
    from pathlib import Path

    from mmbot.execution.recovery import Estate

SECOND = 1_000_000_000
BEGAN = 1_764_288_000 * SECOND
TERMS = {"venue": "bybit-linear", "symbol": "BTCUSDT", "kind": "linear", "tick": "0.1", "lot": "0.001"}
START = json.dumps({"instruments": [TERMS], "epoch_s": BEGAN // SECOND, "client_ids": {"env": "p", "strategy": "tst"}})
LISTED = [
    Listed(
        category="linear",
        symbol="BTCUSDT",
        instrument=_core.Instrument(**TERMS),
        terms=InstrumentTerms(
            category="linear",
            symbol="BTCUSDT",
            kind="linear",
            tradable=True,
            base="BTC",
            quote="USDT",
            settle="USDT",
            tick="0.1",
            lot="0.001",
            min_qty="0.001",
            max_qty="100",
            min_notional="5",
            funding_interval_s=28_800,
        ),
    )
]
ENTRIES = 40


@dataclass
class Account:
    """An account whose newest run left a journal, and anchors of it after each second entry."""

    state: AccountState
    run: Path

    @property
    def journal(self) -> Path:
        """The first file of it."""
        return self.run / "journal.mmj"

    def estate(self) -> Estate:
        """What a start on the account takes over."""
        left = left_on(self.state, LISTED, BEGAN + 100 * SECOND, "7")
        assert left is not None
        return left.estate

    def anchored(self, seq: int, chain: str, at: int = BEGAN, journal: str = "") -> None:
        """One more anchor."""
        keeper = AnchorKeeper(self.state.anchors)
        keeper.keep(Head(journal=journal or f"{self.run.name}/journal.mmj", seq=seq, chain=chain), at)
        keeper.close()

    def cut(self, entries: int) -> None:
        """Leave only the first entries."""
        raw, at = self.journal.read_bytes(), 72
        for _ in range(entries):
            at += 64 + int.from_bytes(raw[at : at + 4], "little")
        self.journal.write_bytes(raw[:at])


@pytest.fixture
def account(tmp_path: Path) -> Account:
    """Of a run that was killed."""
    state = AccountState.of(tmp_path, "demo", "7")
    run = tmp_path / "20251128T000000Z-live"
    run.mkdir()
    journal = _core.Journal.create(run / "journal.mmj", BEGAN, START)
    keeper = AnchorKeeper(state.anchors)
    for number in range(1, ENTRIES):
        journal.note(BEGAN + number, "link", str(number))
        journal.sync()
        if number % 2:
            seq, chain = journal.head()
            keeper.keep(Head(journal=f"{run.name}/journal.mmj", seq=seq, chain=chain), BEGAN + number)
    keeper.close()
    state.run_begins(run)
    return Account(state, run)


def test_a_journal_that_fits_its_anchors_is_taken_over(account: Account) -> None:
    """Nothing is said against it; where no guardian kept anchors neither."""
    assert (account.estate().lost, account.estate().frozen) == ("", ())
    for kept in account.state.path.glob("guardian.*"):
        kept.unlink()
    account.state.anchors.unlink()
    assert (account.estate().lost, account.estate().frozen) == ("", ())


def test_anchors_that_are_gone_freeze_the_account(account: Account) -> None:
    """Their key says that there were some, before and after a guardian began anew; nothing without them is believed."""
    account.state.anchors.unlink()
    assert "anchors.jsonl is gone, and the key" in account.estate().frozen[0].reason
    AnchorKeeper(account.state.anchors).close()
    assert "damaged-1 was damaged: look at it" in account.estate().frozen[0].reason
    account.journal.unlink()
    with pytest.raises(ConfigError, match=r"is gone, and .*damaged-1 was damaged"):
        account.estate()


def test_a_torn_end_that_no_anchor_covers_is_waited_for(account: Account) -> None:
    """Whole entries may have gone with it, if the disk lied: all is taken over, and no order leaves for a while."""
    with account.journal.open("ab") as file:
        file.write(b"\x40\x00\x00\x00half")
    estate = account.estate()
    assert "its last entry is not whole" in estate.lost
    assert estate.frozen == ()
    assert believed(account.state, account.run).recovered.head[0] == ENTRIES


@pytest.mark.parametrize("entries", [1, 2, 17, ENTRIES - 1])
def test_a_journal_that_lost_its_end_is_taken_over_and_said_to_be_short(account: Account, entries: int) -> None:
    """At every entry: what is there is believed, nothing is frozen, no order leaves for a while."""
    account.cut(entries)
    estate = account.estate()
    assert f"{ENTRIES} entries were anchored and {entries} are here" in estate.lost
    assert estate.frozen == ()
    assert believed(account.state, account.run).recovered.head[0] == entries


def test_a_changed_entry_freezes_the_account_and_what_is_before_it_is_believed(account: Account) -> None:
    """A flipped bit in the middle: 19 entries are good."""
    raw, at = bytearray(account.journal.read_bytes()), 72
    for _ in range(19):
        at += 64 + int.from_bytes(raw[at : at + 4], "little")
    raw[at + 70] ^= 1
    account.journal.write_bytes(raw)
    [asked] = account.estate().frozen
    assert (asked.control, str(asked.scope), asked.level.name) == ("journal_differs", "account 7", "CANCEL_ALL")
    assert "damaged at entry 19" in asked.reason
    assert believed(account.state, account.run).recovered.head[0] == 19


def test_a_journal_that_was_written_anew_freezes_the_account(account: Account) -> None:
    """Its own chain fits: an entry was changed and everything after it made to fit. Believed is what was anchored."""
    account.journal.unlink()
    journal = _core.Journal.create(account.journal, BEGAN, START)
    for number in range(1, ENTRIES):
        journal.note(BEGAN + number, "link", str(number) if number < 11 else "forged")
    journal.sync()
    [asked] = account.estate().frozen
    assert "rewritten" in asked.reason
    assert believed(account.state, account.run).recovered.head[0] == 10


def test_anchors_that_nobody_signed_freeze_the_account(account: Account) -> None:
    """A line that the guardian's key did not sign, and a key that is gone: neither is passed over."""
    lines = account.state.anchors.read_text().splitlines()
    account.state.anchors.write_text("\n".join([*lines[:-1], lines[-1].replace('"seq":40', '"seq":39')]) + "\n")
    assert "did not sign" in account.estate().frozen[0].reason
    (account.state.path / "guardian.pub").unlink()
    assert "guardian.pub" in account.estate().frozen[0].reason


def test_an_old_backup_is_known_by_the_anchors_of_a_later_run(account: Account) -> None:
    """The account's newest run is not the last one that was anchored: nothing leaves for a while."""
    account.anchored(9, "00" * 32, BEGAN + 50 * SECOND, "20251129T000000Z-live/journal.mmj")
    estate = account.estate()
    assert "a later journal is missing, 20251129T000000Z-live" in estate.lost
    assert estate.frozen == ()


def test_a_journal_that_is_gone_is_not_passed_over(account: Account) -> None:
    """Anchors prove that there was one: the start is refused. Without them nobody knows of it."""
    account.journal.unlink()
    with pytest.raises(ConfigError, match="is gone, and anchors were kept of it"):
        account.estate()
    for kept in account.state.path.glob("guardian.*"):
        kept.unlink()
    account.state.anchors.unlink()
    assert left_on(account.state, LISTED, BEGAN, "7") is None


def test_a_run_that_ended_flat_is_looked_at_too(account: Account) -> None:
    """That it ended is an entry like others: of a journal that was written anew it proves nothing."""
    account.journal.unlink()
    journal = _core.Journal.create(account.journal, BEGAN, START)
    journal.end(BEGAN + 1, "{}")
    assert "entries were anchored" in account.estate().lost or account.estate().frozen


def test_the_newest_lines_alone_can_be_read(account: Account) -> None:
    """Each is checked as if all were."""
    assert [anchor.seq for anchor in read_anchors(account.state.anchors, newest=3)] == [36, 38, 40]
