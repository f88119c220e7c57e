"""What an engine claims: one look proves nothing, however long ago it was taken; look after look does."""

import pytest

from mmbot.guardian.claims import Claims, ClaimTerms, Resting
from mmbot.guardian.words import Beat, Head

SECOND = 1_000_000_000


def beat(number: int, open_orders: int) -> Beat:
    """One second's beat of an engine that is well, and trades."""
    return Beat(
        seq=number,
        epoch=1,
        head=Head(journal="1/journal.mmj", seq=number, chain=f"{number:064x}"),
        positions={},
        open_orders=open_orders,
        ready=True,
        linked=True,
        level="NORMAL",
        lag_ns=0,
        unanswered_ns=0,
        unheard_ns=0,
    )


@pytest.mark.parametrize(("looks", "lies"), [([4], False), ([4, 8], False), ([4, 8, 12], True), ([4, 9], True)])
def test_a_lie_takes_looks_that_span_its_grace(looks: list[int], lies: bool):
    """Two orders are listed where the engine had one at most; after the last look nobody looks for a while."""
    claims = Claims(ClaimTerms())
    two = [Resting("linear BTCUSDT", f"v{number}", "") for number in range(2)]
    ours = [Resting(each.market, each.venue_id, "mm-s-s44we9-sim-00000001-jl") for each in two]
    said = ""
    for number in range(1, 16):
        at = number * SECOND
        claims.heard(beat(number, 1), at)
        if number in looks:
            claims.looked(ours, {}, at, at)
        said = said or claims.lie(at)
    assert bool(said) is lies
