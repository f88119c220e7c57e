"""What comes back from a copy of an account, what does not, and what the next run hears of it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from test_estate import BEGAN, LISTED, START, Account

from mmbot import _core
from mmbot.guardian.anchors import AnchorKeeper
from mmbot.guardian.words import Head
from mmbot.ops.account_state import AccountState
from mmbot.ops.estate import left_on
from mmbot.ops.restoring import RestoreError, restore

if TYPE_CHECKING:
    from pathlib import Path

RUN = "20251128T000000Z-live"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of an account whose run was going on: two segments, anchors, a freeze, operators."""
    runs = tmp_path / "copy"
    state = AccountState.of(runs, "live", "7")
    (runs / RUN).mkdir()
    journal = _core.Journal.create(runs / RUN / "journal.mmj", BEGAN, START, segment_records=4)
    for number in range(1, 7):
        journal.note(BEGAN + number, "link", str(number))
    journal.sync()
    seq, chain = journal.head()
    keeper = AnchorKeeper(state.anchors)
    keeper.keep(Head(journal=f"{RUN}/journal.mmj", seq=seq, chain=chain), BEGAN + 6)
    keeper.close()
    state.freeze.write_text("a latched freeze\n")
    state.epoch.write_text("17")
    (state.path / "last-run").write_text(f"/srv/on/the/old/host/runs/{RUN}\n")
    return runs


def test_journal_freezes_and_epoch_come_back_and_the_next_run_hears_that_it_is_a_copy(
    copy: Path, tmp_path: Path
) -> None:
    """Every segment, under the same name; the place of the run is this host's; the guardian's key stays away."""
    restored = restore(copy, tmp_path / "runs", "live-7")
    state = AccountState.at(tmp_path / "runs" / "accounts" / "live-7")
    assert (restored.run, restored.entries, restored.differs) == (RUN, 7, "")
    assert state.newest_run() == (tmp_path / "runs" / RUN).resolve()
    assert sorted(file.name for file in (tmp_path / "runs" / RUN).iterdir()) == ["journal.1.mmj", "journal.mmj"]
    assert (state.freeze.read_text(), state.epoch.read_text()) == ("a latched freeze\n", "17")
    kept = {file.name for file in state.path.iterdir()}
    assert {"before-anchors.jsonl", "before-guardian.pub"} <= kept
    assert not kept & {"anchors.jsonl", "guardian.key", "guardian.pub"}
    left = left_on(state, LISTED, BEGAN, "7")
    assert left is not None
    assert "was brought back from" in left.estate.lost
    assert left.estate.frozen == ()


def test_a_copy_that_was_changed_freezes_what_comes_of_it(copy: Path, tmp_path: Path) -> None:
    """Held against the anchors of the copy when it is brought back, and still known when the run begins."""
    file = copy / RUN / "journal.1.mmj"
    octets = bytearray(file.read_bytes())
    octets[140] ^= 1
    file.write_bytes(octets)
    restored = restore(copy, tmp_path / "runs", "live-7")
    assert "damaged at entry 4" in restored.differs
    left = left_on(AccountState.at(tmp_path / "runs" / "accounts" / "live-7"), LISTED, BEGAN, "7")
    assert left is not None
    assert [asked.control for asked in left.estate.frozen] == ["journal_differs"]


def test_nothing_is_put_over_an_account_that_has_run_here(copy: Path, tmp_path: Path) -> None:
    """Nor is an account brought back that is not in the copy."""
    restore(copy, tmp_path / "runs", "live-7")
    with pytest.raises(RestoreError, match="a copy is not put over an account"):
        restore(copy, tmp_path / "runs", "live-7")
    with pytest.raises(RestoreError, match=r"is no account that has run; accounts in .*: live-7"):
        restore(copy, tmp_path / "elsewhere", "live-8")


def test_once_a_later_run_has_begun_the_copy_is_history(copy: Path, tmp_path: Path) -> None:
    """The run that took over has a journal of its own; the next one takes over from that."""
    restore(copy, tmp_path / "runs", "live-7")
    state = AccountState.at(tmp_path / "runs" / "accounts" / "live-7")
    later = tmp_path / "runs" / "20251129T000000Z-live"
    shutil.copytree(tmp_path / "runs" / RUN, later)
    state.run_begins(later)
    assert json.loads((state.path / "restored.json").read_bytes())["run"] == RUN
    assert Account(state, later).estate().lost == ""
