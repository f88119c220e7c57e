"""May this market data still be priced? Old prices are where a maker is picked off, so stale data is never priced.

Age is counted from the last word that the book is what it is: a change of it, or a heartbeat of its own stream. In a
quiet market nothing changes and nothing is wrong; without a heartbeat, quiet and dead look alike, and count as dead.
"""

from pydantic import Field

from mmbot.config import Strict
from mmbot.execution.ruling import Denial, Ruling

__all__ = ["FreshnessGate"]

_NS_PER_MS = 1_000_000


class FreshnessGate(Strict):
    """How old market data may be."""

    fresh_ms_for_pricing: float = Field(default=60.0, gt=0)
    """Age up to which, itself included, data may be priced, ms."""

    def check(self, now_ns: int, heard_ns: int | None) -> Ruling:
        """Rule on data last heard of at `heard_ns`, our receive time, ns since epoch; None if it never was.

        Data from the future are denied too: the clocks disagree, so its age is not known.
        """
        if heard_ns is None:
            return Ruling(Denial.STALE, "no market data was heard yet; wait for the first snapshot")
        if heard_ns > now_ns:
            said = f"market data is {(heard_ns - now_ns) / _NS_PER_MS} ms ahead of now; check the clocks"
            return Ruling(Denial.STALE, said, heard_ns)
        age_ms = (now_ns - heard_ns) / _NS_PER_MS
        if age_ms > self.fresh_ms_for_pricing:
            said = (
                f"market data is {age_ms} ms old; expected at most {self.fresh_ms_for_pricing} ms, so do not price it"
            )
            return Ruling(Denial.STALE, said)
        return Ruling()
