"""The result of a run: what happened, as plain frames, and the few ways to look at it.

    result.summary()        the numbers, typed
    print(result)           the same for a terminal
    result                  the same in a notebook
    result.write("out/")    report.html, summary.json and the frames as Parquet

The engine side fills the frames, this side never changes them. Limit: one settlement currency per result. An inverse
contract settles in its coin: its quantities count the quote currency, its money is coins.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mmbot.research import report, statistics, terminal
from mmbot.research.frames import EQUITY_SCHEMA, FILLS_SCHEMA, ORDERS_SCHEMA, Frames, ResultError
from mmbot.research.summary import Breakdown, InstrumentFacts, RunFacts, Summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import polars as pl

    from mmbot.research.statistics import Attribution, Floats, Integers

__all__ = [
    "EQUITY_SCHEMA",
    "FILLS_SCHEMA",
    "ORDERS_SCHEMA",
    "TOTAL",
    "InstrumentFacts",
    "Result",
    "ResultError",
    "RunFacts",
    "Summary",
]

TOTAL = "total"
"""Key of the whole run in `Result.attribution`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What a run did. Frames as in the schemas of `mmbot.research.frames`; further columns are allowed and ignored.

    `attribution` holds one entry per instrument and one under "total". Raises ResultError when the parts do not fit.
    """

    run: RunFacts
    fills: pl.DataFrame
    orders: pl.DataFrame
    equity: pl.DataFrame
    attribution: Mapping[str, Attribution]

    def __post_init__(self) -> None:
        """Refuse what would be shown wrong."""
        _check_run(self.run)
        known = {instrument.symbol for instrument in self.run.instruments}
        strangers = sorted(set(self.frames.symbols()) - known)
        if strangers:
            raise ResultError(f"frames: instruments {strangers} are not in run.instruments {sorted(known)}")
        expected = {*known, TOTAL}
        if set(self.attribution) != expected:
            raise ResultError(f"attribution: expected exactly {sorted(expected)}, got {sorted(self.attribution)}")

    @cached_property
    def frames(self) -> Frames:
        """The three frames together, checked."""
        return Frames(fills=self.fills, orders=self.orders, equity=self.equity)

    @cached_property
    def _worth(self) -> Frames:
        return self.frames.in_worth(self.run.inverse)

    @property
    def currency(self) -> str:
        """The one settlement currency of all money in this result."""
        return self.run.instruments[0].currency

    def summary(self) -> Summary:
        """All numbers of the run; computed once."""
        return self._summary

    @cached_property
    def _summary(self) -> Summary:
        return Summary(
            run=self.run,
            currency=self.currency,
            total=self._total(),
            instruments={instrument.symbol: self._of(instrument) for instrument in self.run.instruments},
        )

    def _of(self, instrument: InstrumentFacts) -> Breakdown:
        frames = self._worth.of(instrument.symbol)
        ts = frames.equity["ts"].to_numpy()
        inventory = statistics.inventory(
            ts,
            frames.equity["position"].to_numpy(),
            unit=instrument.unit,
            max_abs=statistics.position_extreme(frames.equity, frames.fills),
            traded=float(frames.fills["qty"].to_numpy().sum()),
        )
        return self._breakdown(instrument.symbol, frames, inventory, (ts, frames.equity["equity"].to_numpy()))

    def _total(self) -> Breakdown:
        ts, equity, exposure = self._worth.equity_curve()
        inventory = statistics.inventory(
            ts,
            exposure,
            unit=self.currency,
            max_abs=statistics.largest(exposure),
            traded=statistics.fill_counts(self._worth.fills).value,
        )
        return self._breakdown(TOTAL, self._worth, inventory, (ts, equity))

    def _breakdown(
        self, name: str, frames: Frames, inventory: statistics.Inventory, curve: tuple[Integers, Floats]
    ) -> Breakdown:
        return Breakdown(
            pnl=statistics.pnl_split(self.attribution[name]),
            fills=statistics.fill_counts(frames.fills),
            orders=statistics.order_counts(frames.orders, frames.fills.height),
            markouts_maker=statistics.markouts(frames.fills, maker=True),
            markouts_taker=statistics.markouts(frames.fills, maker=False),
            queue=statistics.fill_probability(frames.orders),
            inventory=inventory,
            quoting=statistics.quoting(self.equity if name == TOTAL else self.frames.of(name).equity),
            performance=statistics.performance(*curve, days_per_year=self.run.days_per_year),
        )

    def write(self, directory: str | Path, *, environ: Mapping[str, str] = os.environ) -> dict[str, Path]:
        """Write report.html, summary.json and fills, orders and equity as Parquet; return the paths by name.

        The directory is made if need be. A file of the same name is replaced as a whole or not at all. With
        `MM_FREEZE_UTC` or `MM_FREEZE_UTC_ISO` in `environ` the same result gives the same bytes. Raises OSError.
        """
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        utc = report.utc_now(environ)
        texts = {
            "report.html": report.render(self.summary(), self.frames, utc=utc),
            "summary.json": self.summary().as_json(utc=utc),
        }
        for name, text in texts.items():
            with _replaced(folder / name) as part:
                part.write_text(text, encoding="utf-8", newline="\n")
        frames = {"fills.parquet": self.fills, "orders.parquet": self.orders, "equity.parquet": self.equity}
        for name, frame in frames.items():
            with _replaced(folder / name) as part:
                frame.write_parquet(part)
        return {name: folder / name for name in (*texts, *frames)}

    def __str__(self) -> str:
        return terminal.text(self.summary())

    def _repr_html_(self) -> str:
        return report.notebook(self.summary())


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Give a place to write to, and move it to `path` when all of it is there; on any error nothing remains."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _check_run(run: RunFacts) -> None:
    if not run.instruments:
        raise ResultError("run.instruments: empty; a run trades at least one instrument")
    symbols = [instrument.symbol for instrument in run.instruments]
    if len(set(symbols)) < len(symbols) or TOTAL in symbols:
        raise ResultError(f"run.instruments: symbols must be unique and not {TOTAL!r}, got {symbols}")
    currencies = sorted({instrument.currency for instrument in run.instruments})
    if len(currencies) > 1:
        raise ResultError(f"run.instruments: currencies {currencies} cannot be added; make one result for each")
    if run.markout_horizon not in statistics.HORIZONS:
        raise ResultError(f"run.markout_horizon: {run.markout_horizon!r} is none of {list(statistics.HORIZONS)}")
