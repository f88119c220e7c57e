"""The edge audit: of every basis point that trading moved, who got it.

    audit = edge.audit_trades("trades.jsonl", "quotes.jsonl")       # or edge.audit_result("reports/<run id>")
    print(audit)

`trades.jsonl`: one fill per line, `{symbol, side, price, qty, mid_before, mid_after_1s, fee_bps, ts_ms}`, in time order
per symbol; `maker` (true or false) may be given, `mid_after_1s` may be null where the recording ended before.
`quotes.jsonl`: `{symbol, ts_ms, best_bid, best_ask}`, likewise. Further keys are ignored.

Profit is positive: a maker who buys below the mid has a positive `gross_bps`. Costs are positive when they cost:

    net_bps                = gross_bps − adverse_bps − slippage_bps − fees_eff_bps
    net_with_inventory_bps = net_bps + inventory_bps (+ funding_bps)

gross: what resting away from the mid earned. slippage: what crossing the spread cost. Which of the two a fill is says
`maker`; without it a fill that reached the other side of the last quote crossed, and any other rested. adverse: what
the mid did to us within the second after the fill. inventory: what it did after that, up to the last mid known (of a
quote, or of a trade). fees_eff: fees less rebates. All are computed from the fills and divided by the turnover at mid;
nothing is solved for, so the identity can fail, and an audit whose parts miss an independently computed net by more
than 0.05 bps is refused.

Not handled: instruments in several currencies (they do not add up; audit them one by one), and funding, which neither
trades nor fills carry.
"""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeAlias, TypeVar

import msgspec

import mmbot
from mmbot.ledger import Attribution, attribution, combine
from mmbot.research import report
from mmbot.research.columns import aligned
from mmbot.research.statistics import HORIZONS
from mmbot.research.summary import rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "EdgeAudit",
    "EdgeError",
    "Fill",
    "Quote",
    "SymbolEdge",
    "Trade",
    "audit_result",
    "audit_trades",
    "identity_gap_bps",
    "symbol_edge",
]

TOLERANCE_BPS: Final = 0.05
"""How far the parts may miss the net."""

BPS_FIELDS: Final = (
    "gross_bps",
    "fees_eff_bps",
    "adverse_bps",
    "slippage_bps",
    "inventory_bps",
    "net_bps",
    "net_with_inventory_bps",
)

Positive: TypeAlias = Annotated[float, msgspec.Meta(gt=0)]
Line = TypeVar("Line", bound="Trade | Quote")


class EdgeError(ValueError):
    """Input that cannot be audited, or parts that do not add up. The message says where and what was expected."""


class Trade(msgspec.Struct, frozen=True):
    """One fill of ours; prices in the quote currency, `fee_bps` of price × quantity, a rebate negative."""

    symbol: Annotated[str, msgspec.Meta(min_length=1)]
    side: str
    price: Positive
    qty: Positive
    mid_before: Positive
    mid_after_1s: Positive | None
    fee_bps: float
    ts_ms: int
    maker: bool | None = None

    def __post_init__(self) -> None:
        """Refuse a side that is neither."""
        if self.side.lower() not in ("buy", "sell"):
            raise ValueError(f'side is {self.side!r}; expected "buy" or "sell"')


class Quote(msgspec.Struct, frozen=True):
    """The best bid and ask at a time."""

    symbol: Annotated[str, msgspec.Meta(min_length=1)]
    ts_ms: int
    best_bid: Positive
    best_ask: Positive

    def __post_init__(self) -> None:
        """Refuse a crossed market: who rested and who crossed could not be said."""
        if self.best_bid >= self.best_ask:
            raise ValueError(f"best_bid {self.best_bid} is not below best_ask {self.best_ask}")


class Fill(NamedTuple):
    """One fill as `mmbot.ledger.attribution` takes it: side +1 bought, −1 sold; `fee` paid, negative a rebate."""

    side: int
    qty: float
    price: float
    mid: float
    mid_after: float | None
    fee: float
    maker: bool


@dataclass(frozen=True, kw_only=True)
class SymbolEdge:
    """One symbol's fills, added up. Money in the quote currency."""

    fills: int
    attribution: Attribution

    def as_dict(self) -> dict[str, float | int]:
        """The published numbers: bps of turnover, number of fills, and the turnover (quantity × mid at the fill)."""
        edge = self.attribution.edge_bps()
        return {
            **{name: edge[name] for name in BPS_FIELDS},
            "fills": self.fills,
            "turnover_usd": self.attribution.turnover,
        }


def identity_gap_bps(edge: Mapping[str, float]) -> float:
    """How far a published `net_bps` is from its published parts; for any report that claims the identity."""
    parts = (edge["gross_bps"], -edge["adverse_bps"], -edge["slippage_bps"], -edge["fees_eff_bps"])
    return abs(edge["net_bps"] - math.fsum(parts))


def symbol_edge(symbol: str, fills: Sequence[Fill], *, mid_end: float, inverse: bool = False) -> SymbolEdge:
    """Split the fills of one symbol; `mid_end` values what is held at the end.

    The parts are held against a net computed without the mid at the fill: what each fill was worth one horizon later,
    less what was paid for it. Raises EdgeError when they differ by more than 0.05 bps, ValueError for a bad fill.
    """
    split = attribution(
        [fill._asdict() for fill in fills],
        mid_start=fills[0].mid if fills else mid_end,
        mid_end=mid_end,
        contract="inverse" if inverse else "linear",
    )
    found = SymbolEdge(fills=len(fills), attribution=split)
    if split.turnover > 0:
        _check_identity(symbol, found.as_dict(), _net(fills, mid_end, inverse=inverse) / split.turnover * 1e4)
    return found


def _net(fills: Iterable[Fill], mid_end: float, *, inverse: bool) -> float:
    def worth(price: float) -> float:
        return -1 / price if inverse else price

    return math.fsum(
        fill.side * fill.qty * (worth(mid_end if fill.mid_after is None else fill.mid_after) - worth(fill.price))
        - fill.fee
        for fill in fills
    )


def _check_identity(symbol: str, edge: Mapping[str, float], net_bps: float) -> None:
    gap = max(identity_gap_bps(edge), abs(edge["net_bps"] - net_bps))
    if not gap <= TOLERANCE_BPS:
        raise EdgeError(
            f"{symbol}: gross − adverse − slippage − fees misses the net by {gap:.4f} bps, more than {TOLERANCE_BPS}; "
            f"parts {dict(edge)}, net from later mids {net_bps:.4f} bps"
        )


@dataclass(frozen=True, kw_only=True)
class EdgeAudit:
    """What was found, per symbol and in total. `print` it, or `write` it as JSON."""

    symbols: Mapping[str, SymbolEdge]

    def __post_init__(self) -> None:
        """Refuse to say something about nothing."""
        if not self.symbols:
            raise EdgeError("no fills: there is nothing to audit")

    @property
    def portfolio(self) -> SymbolEdge:
        """All symbols as one: money is added first and divided then, so a symbol counts by what it traded."""
        return SymbolEdge(
            fills=sum(one.fills for one in self.symbols.values()),
            attribution=combine(one.attribution for one in self.symbols.values()),
        )

    @property
    def mean_over_symbols(self) -> dict[str, float | int]:
        """Every symbol counted alike: mean of the bps, sum of fills and turnover; nobody earned these bps."""
        each = [one.as_dict() for one in self.symbols.values()]
        whole = self.portfolio.as_dict()
        return {**whole, **{name: math.fsum(one[name] for one in each) / len(each) for name in BPS_FIELDS}}

    def as_json(self, *, utc: str) -> str:
        """Everything as JSON: sorted keys, ASCII, LF, final newline, floats of 9 significant digits.

        `utc` is the time of writing (`report.utc_now`), kept apart under `runtime`.
        """
        document = {
            "symbols": {symbol: one.as_dict() for symbol, one in self.symbols.items()},
            "totals": {"mean_over_symbols": self.mean_over_symbols, "portfolio": self.portfolio.as_dict()},
            "runtime": {"utc": utc, "version": mmbot.__version__},
        }
        return json.dumps(rounded(document), sort_keys=True, indent=2, allow_nan=False) + "\n"

    def write(self, path: Path, *, environ: Mapping[str, str] = os.environ) -> None:
        """Write the JSON; a frozen time in `environ` (`MM_FREEZE_UTC`) gives the same bytes for the same audit."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.as_json(utc=report.utc_now(environ)), encoding="utf-8", newline="\n")

    def __str__(self) -> str:
        header = ["bps of turnover", *(name.removesuffix("_bps").replace("_", " ") for name in BPS_FIELDS)]
        table = {symbol: one.as_dict() for symbol, one in sorted(self.symbols.items())}
        table |= {"portfolio": self.portfolio.as_dict(), "mean over symbols": self.mean_over_symbols}
        rows = [
            [name, *(f"{row[key]:+.3f}" for key in BPS_FIELDS), f"{row['fills']:,}", f"{row['turnover_usd']:,.0f}"]
            for name, row in table.items()
        ]
        note = (
            "net = gross - adverse - slippage - fees eff; costs are positive when they cost, inventory when it earned"
        )
        return f"{aligned([*header, 'fills', 'turnover'], rows)}\n\n{note}"


# --- trades and quotes, line by line ---------------------------------------------------------------------------------


def audit_trades(trades: str | Path, quotes: str | Path | None = None) -> EdgeAudit:
    """Audit recorded fills; quotes say who rested, and value what is held at the end.

    Both files are read line by line; only the fills are kept in memory. Raises EdgeError naming file and line for what
    is no trade or quote, or out of order; OSError for a file that cannot be read.
    """
    read: dict[str, list[Trade]] = defaultdict(list)
    for trade in _in_order(Path(trades), Trade):
        read[trade.symbol].append(trade)
    market = _Market(read)
    if quotes is not None:
        for quote in _in_order(Path(quotes), Quote):
            market.see(quote)
    return EdgeAudit(
        symbols={
            symbol: symbol_edge(symbol, market.fills(symbol), mid_end=market.last_mid(symbol))
            for symbol in sorted(read)
        }
    )


class _Market:
    """Fills waiting for the quote that stood when they happened; the quotes pass by once."""

    def __init__(self, trades: Mapping[str, list[Trade]]) -> None:
        self._trades = trades
        self._standing: dict[str, Quote] = {}
        self._resolved: dict[str, list[Fill]] = {symbol: [] for symbol in trades}

    def see(self, quote: Quote) -> None:
        """Take the next quote: what happened before it met the one before."""
        if quote.symbol in self._trades:
            self._resolve(quote.symbol, before_ms=quote.ts_ms)
            self._standing[quote.symbol] = quote

    def fills(self, symbol: str) -> list[Fill]:
        """All fills of the symbol, after the last quote."""
        self._resolve(symbol, before_ms=None)
        return self._resolved[symbol]

    def last_mid(self, symbol: str) -> float:
        """The last mid known: of the last quote, or of a fill that knows a later one."""
        trade, quote = self._trades[symbol][-1], self._standing.get(symbol)
        if quote is not None and quote.ts_ms >= trade.ts_ms:
            return (quote.best_bid + quote.best_ask) / 2
        return trade.mid_before if trade.mid_after_1s is None else trade.mid_after_1s

    def _resolve(self, symbol: str, *, before_ms: int | None) -> None:
        trades, resolved, quote = self._trades[symbol], self._resolved[symbol], self._standing.get(symbol)
        while len(resolved) < len(trades) and (before_ms is None or trades[len(resolved)].ts_ms < before_ms):
            resolved.append(_fill(trades[len(resolved)], quote))


def _fill(trade: Trade, quote: Quote | None) -> Fill:
    buy = trade.side.lower() == "buy"
    maker = trade.maker
    if maker is None:
        crossed = quote is not None and (trade.price >= quote.best_ask if buy else trade.price <= quote.best_bid)
        maker = not crossed
    return Fill(
        side=1 if buy else -1,
        qty=trade.qty,
        price=trade.price,
        mid=trade.mid_before,
        mid_after=trade.mid_after_1s,
        fee=trade.fee_bps * 1e-4 * trade.price * trade.qty,
        maker=maker,
    )


def _in_order(path: Path, kind: type[Line]) -> Iterator[Line]:
    """Read JSON lines of one kind, whose time never falls within a symbol; empty lines are skipped."""
    decoder, last = msgspec.json.Decoder(kind), dict[str, int]()
    with path.open("rb") as lines:
        for number, text in enumerate(lines, 1):
            if not text.strip():
                continue
            try:
                line = decoder.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise EdgeError(f"{path}:{number}: {error}; expected {', '.join(kind.__struct_fields__)}") from error
            if line.ts_ms < last.get(line.symbol, line.ts_ms):
                raise EdgeError(
                    f"{path}:{number}: ts_ms {line.ts_ms} of {line.symbol} is before {last[line.symbol]}; "
                    "expected time order, sort the file by ts_ms"
                )
            last[line.symbol] = line.ts_ms
            yield line


# --- the folder of a run ---------------------------------------------------------------------------------------------


def audit_result(folder: str | Path, *, horizon: str = "mid_1s") -> EdgeAudit:
    """Audit what `Result.write` left in a folder: fills, the last mid of each instrument, and its kind of contract.

    `horizon` is the column of later mids: mid_100ms, mid_1s, mid_5s, mid_30s or mid_300s. Raises EdgeError for a folder
    that is none of a run's, or an unknown horizon.
    """
    import polars as pl  # noqa: PLC0415  the lines of trades are audited without it

    if horizon not in HORIZONS:
        raise EdgeError(f"horizon {horizon!r} is none of {', '.join(HORIZONS)}")
    where = Path(folder)
    missing = [name for name in ("summary.json", "fills.parquet", "equity.parquet") if not (where / name).is_file()]
    if missing:
        raise EdgeError(f"{where}: no {', '.join(missing)}; expected a folder that a backtest wrote")
    try:
        kinds = msgspec.json.decode((where / "summary.json").read_bytes(), type=_Summary).kinds()
        fills, equity = pl.read_parquet(where / "fills.parquet"), pl.read_parquet(where / "equity.parquet")
        rows = fills.sort("ts_venue", maintain_order=True).select(
            "instrument", "side", "qty", "price", "mid", pl.col(horizon).alias("mid_after"), "fee", "maker"
        )
        last = dict(equity.group_by("instrument", maintain_order=True).agg(pl.col("mid").last()).iter_rows())
        found: dict[str, list[Fill]] = defaultdict(list)
        for symbol, *values in rows.iter_rows():
            found[symbol].append(Fill(*values))
        return EdgeAudit(
            symbols={
                symbol: symbol_edge(symbol, of, mid_end=last[symbol], inverse=kinds[symbol] == "inverse")
                for symbol, of in sorted(found.items())
            }
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, pl.exceptions.PolarsError, KeyError) as error:
        raise EdgeError(f"{where}: {error!r}; expected the frames and the summary of one and the same run") from error


class _Listed(msgspec.Struct):
    symbol: str
    kind: str


class _Run(msgspec.Struct):
    instruments: list[_Listed]


class _Summary(msgspec.Struct):
    run: _Run

    def kinds(self) -> dict[str, str]:
        """Kind of contract by symbol."""
        return {one.symbol: one.kind.lower() for one in self.run.instruments}
