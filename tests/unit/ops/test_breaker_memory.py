"""Where the breaker stands is kept over a restart, and what cannot be read is no way around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mmbot.execution import Breaker, BreakerState
from mmbot.ops.breaker_memory import breaker_left, breaker_writer

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
NOW = 1_000 * SECOND


@pytest.mark.parametrize(
    ("left", "until_ns"),
    [
        (BreakerState(), None),
        (BreakerState(open_until_ns=NOW - 1), NOW - 1),
        (BreakerState(open_until_ns=NOW + 600 * SECOND, probe_ns=7), NOW + 600 * SECOND),
        (BreakerState(open_until_ns=NOW + 601 * SECOND), NOW + 600 * SECOND),
    ],
)
def test_a_state_is_read_as_it_was_written(left: BreakerState, until_ns: int | None, tmp_path: Path) -> None:
    """But for the probe, whose answer nobody hears, and for an end that no trouble sets."""
    breaker_writer(tmp_path / "breaker.json", lambda _: None)(left)
    found = breaker_left(tmp_path / "breaker.json", Breaker(), NOW)
    assert (found.open_until_ns, found.probe_ns) == (until_ns, None)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"open_until_ns": "soon"}', b"\xff"])
def test_what_cannot_be_read_is_trouble_just_now(content: bytes, tmp_path: Path) -> None:
    """A torn file must not be the way to close a breaker."""
    (tmp_path / "breaker.json").write_bytes(content)
    found = breaker_left(tmp_path / "breaker.json", Breaker(open_s=60), NOW)
    assert found == BreakerState(open_until_ns=NOW + 60 * SECOND)


def test_an_account_without_one_begins_closed(tmp_path: Path) -> None:
    """There was no trouble yet."""
    assert breaker_left(tmp_path / "breaker.json", Breaker(), NOW) == BreakerState()


def test_one_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """And holds here all the same."""
    events: list[dict[str, object]] = []
    breaker_writer(tmp_path / "no folder" / "breaker.json", events.append)(BreakerState())
    assert "a restart would forget it" in str(events[0]["why"])
