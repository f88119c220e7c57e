"""What leaves a connection, in which order, and what faults do to it. On a real loop, for milliseconds."""

import asyncio

import pytest

from mmbot.exchange import line as line_module
from mmbot.exchange.faults import Fault, Faults
from mmbot.exchange.line import How, Line


class Wire:
    """Keeps what was written, and says when the connection ended."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.ended: How | None = None

    async def write(self, payload: bytes) -> None:
        """One frame."""
        self.written.append(payload)

    async def end(self, how: How) -> None:
        """The end."""
        self.ended = how


def spoken(*sends: tuple[bytes, float], faults: Faults | None = None) -> Wire:
    """Send payloads with delays as private:order, end the connection 30 ms later, and return what the wire saw."""

    async def run() -> Wire:
        wire = Wire()
        line = Line(wire.write, wire.end, faults or Faults())
        task = asyncio.create_task(line.run())
        for payload, delay_ms in sends:
            line.send(payload, delay_ms, "private:order")
        line.cut("close", 30.0)
        await asyncio.wait_for(task, 5)
        line.close()
        return wire

    return asyncio.run(run())


def test_equal_delays_keep_their_order_and_shorter_ones_overtake():
    """Two channels of one connection, the second quicker."""
    wire = spoken((b"a", 10), (b"b", 1), (b"c", 10), (b"d", 1), (b"e", 0))
    assert (wire.written, wire.ended) == ([b"e", b"b", b"d", b"a", b"c"], "close")


@pytest.mark.parametrize(
    ("what", "written"),
    [
        ("drop", [b"2", b"3"]),
        ("duplicate", [b"1", b"1", b"2", b"3"]),
        ("reorder", [b"2", b"1", b"3"]),
        ("delay", [b"2", b"3", b"1"]),
        ("mute", []),
    ],
)
def test_a_fault_strikes_one_message(what: str, written: list[bytes]):
    """Lost, twice, behind its successor, late; or nothing more is said at all."""
    faults = Faults()
    faults.arm(Fault(where="private:*", what=what, delay_ms=10))
    assert spoken((b"1", 0), (b"2", 0), (b"3", 0), faults=faults).written == written


def test_a_reordered_message_without_a_successor_comes_late():
    """It is not lost."""
    faults = Faults()
    faults.arm(Fault(where="private:*", what="reorder", delay_ms=5))
    assert spoken((b"1", 0), faults=faults).written == [b"1"]


def test_broken_and_oversized_messages_and_an_end_in_the_middle():
    """Half a message, five megabytes, and a connection that ends where a message would have been."""
    faults = Faults()
    for what in ("corrupt", "oversize", "disconnect"):
        faults.arm(Fault(where="private:*", what=what, how="abort"))
    wire = spoken((b'{"a":1}', 0), (b'{"b":2}', 0), (b'{"c":3}', 0), (b'{"d":4}', 0), faults=faults)
    assert wire.written[0] == b'{"a'
    assert len(wire.written[1]) > 5_000_000
    assert (len(wire.written), wire.ended) == (2, "abort")


@pytest.mark.parametrize("limit", ["BACKLOG_MAX", "BACKLOG_BYTES_MAX"])
def test_a_client_that_does_not_read_is_cut(monkeypatch, limit: str):
    """Messages are never left out in the middle: a backlog, of messages or of bytes, ends the connection."""
    monkeypatch.setattr(line_module, limit, 10)
    wire = spoken(*((b"x", 20.0) for _ in range(11)))
    assert (wire.written, wire.ended) == ([], "abort")


def test_a_new_connection_can_be_struck():
    """A place of its own: socket:private."""

    async def run() -> bool:
        faults = Faults()
        faults.arm(Fault(where="socket:private", what="mute"))
        wire = Wire()
        line = Line(wire.write, wire.end, faults)
        line.strike("socket:private")
        return line.muted

    assert asyncio.run(run())
