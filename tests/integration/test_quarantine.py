"""A journal that does not fit what was anchored of it, on the real exchange server: what a start does then."""

import json
from pathlib import Path

import pytest
from exchange_server import running
from killed_run import Rig

from mmbot import _core
from mmbot.execution.recovery import Chain
from mmbot.guardian.anchors import AnchorKeeper
from mmbot.guardian.words import Head

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]


def anchored(rig: Rig, chain: str = "") -> int:
    """Keep what a guardian would have kept of the newest journal; how many entries it has."""
    reader = _core.JournalReader(rig.newest())
    entries = sum(1 for _ in reader)
    [state] = rig.runs.glob("accounts/*/")
    keeper = AnchorKeeper(state / "anchors.jsonl")
    keeper.keep(Head(journal=f"{rig.newest().parent.name}/journal.mmj", seq=entries, chain=chain or reader.head), 1)
    keeper.close()
    return entries


def killed_with_orders(rig: Rig, fills: int) -> None:
    """Run until so many fills, and on until the exchange is left with an order when the run is killed."""
    with rig.bot() as bot:
        bot.until("fill", times=fills)
        while not rig.open_orders():
            bot.until("request")
        bot.kill()
    if not rig.open_orders():  # it left, or was filled, in between
        killed_with_orders(rig, 1)


def cut_before_an_open_order(rig: Rig) -> str:
    """Take away the end of the newest journal, from the request of the newest open order on.

    Returns the order's name.
    """
    chain = Chain.read(json.loads(next(text for _, topic, text in rig.booked().notes if topic == "chain"))["runs"])
    number, name = max((chain.number(name) or 0, name) for name in rig.open_orders())
    raw, at = rig.newest().read_bytes(), 72
    for _, _, kind, fields in _core.JournalReader(rig.newest()):
        if kind == "command" and fields["command"] == "place" and fields["order_id"] == number:
            rig.newest().write_bytes(raw[:at])
            return name
        at += 64 + int.from_bytes(raw[at : at + 4], "little")
    raise AssertionError(f"no request of {name} in the journal")


def made_up_for(rig: Rig) -> bool:
    """A run whose journal lost its end, and the next one; whether the order that was forgotten was adopted.

    If it was filled before the next run asked for it, its execution is of no order: booked once, and a person looks.
    """
    killed_with_orders(rig, 2)
    entries = anchored(rig)
    forgotten = cut_before_an_open_order(rig)
    with rig.bot() as bot:
        assert f"{entries} entries were anchored" in bot.until("recovering")["lost"]
        frozen = bot.until("quoting|freeze asked")["event"] == "freeze asked"
        adopted = {event["client_id"]: event["owner"] for event in bot.events if event["event"] == "adopted"}
        if frozen:
            [asked] = [event for event in bot.events if event["event"] == "freeze asked"]
            assert asked["control"] == "position_moved"
            assert "orphan" in asked["reason"]
            bot.until("reconcile")
        else:
            assert adopted[forgotten] == "orphan"
            assert forgotten not in rig.open_orders()
            bot.until("fill", times=2)
        assert bot.end() == 0
    assert rig.open_orders() == {}
    rig.agree()
    return not frozen


def test_an_acknowledged_end_that_is_gone_is_found_and_made_up_for(tmp_path: Path) -> None:
    """Row 68. The disk lost what it had acknowledged, with the request of an order that is open at the exchange: the
    start knows it by the anchor, adopts the order, cancels it, waits until nothing can arrive any more, and trades on
    with the exchange's position. No execution is booked twice.
    """
    with running(tmp_path / "exchange.log", "--tape", "sample:btcusdt", "--speed", "1") as exchange:
        for attempt in range(4):
            folder = tmp_path / str(attempt)
            folder.mkdir()
            if made_up_for(Rig(exchange, folder)):
                return
    raise AssertionError("four times the order was filled before the next run asked for it")


def test_a_journal_that_was_changed_is_never_traded_on(tmp_path: Path) -> None:
    """The anchor says another chain: the account freezes and says what differs, orders leave, and no order is placed,
    in this run and the next.
    """
    with running(tmp_path / "exchange.log", "--tape", "sample:btcusdt", "--speed", "5") as exchange:
        rig = Rig(exchange, tmp_path)
        killed_with_orders(rig, 2)
        anchored(rig, chain="00" * 32)
        with rig.bot() as bot:
            asked = bot.until("freeze asked")
            assert (asked["control"], asked["level"]) == ("journal_differs", "CANCEL_ALL")
            assert "rewritten" in asked["reason"]
            bot.until("reconcile")
            bot.until("cancel_all_done")
            assert rig.open_orders() == {}
            assert bot.end() == 0
        with rig.bot() as again:
            again.until("reconcile")
            assert again.end() == 0
        requests = [event for event in [*bot.events, *again.events] if event["event"] == "request"]
        assert [event for event in requests if event["request"] == "place"] == []
        assert rig.open_orders() == {}
        rig.agree()
