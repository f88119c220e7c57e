"""Bybit's transaction log: every change of a coin of the unified account, read without I/O.

Source: Bybit v5 documents, GET /v5/account/transaction-log; the words of `type` are listed under "Enums: type".
"""

from typing import Literal

import msgspec

from mmbot.venues.bybit.wire import NS_PER_MS
from mmbot.venues.port import Posting
from mmbot.venues.records import UNREADABLE, WireError

__all__ = ["decode_postings"]


class _Row(msgspec.Struct, gc=False):
    id: str
    currency: str
    type: str
    change: str
    cashBalance: str  # noqa: N815 (the venue's spelling)
    transactionTime: str  # noqa: N815
    tradeId: str = ""  # noqa: N815
    cashFlow: str = ""  # noqa: N815
    fee: str = ""
    funding: str = ""


class _Page(msgspec.Struct):
    list: list[_Row]
    nextPageCursor: str = ""  # noqa: N815


_PAGE = msgspec.json.Decoder(_Page)
_KINDS: dict[str, Literal["trade", "funding", "transfer"]] = {
    "TRADE": "trade",
    "SETTLEMENT": "funding",
    "TRANSFER_IN": "transfer",
    "TRANSFER_OUT": "transfer",
}
"""What moves coins by our orders, by holding, and by a person. Every other word is "other": somebody has to read it."""


def decode_postings(result: bytes) -> tuple[list[Posting], str]:
    """One page, newest first, and the cursor of the next ("" at the end). Raises WireError."""
    try:
        page = _PAGE.decode(result)
        return [_posting(row) for row in page.list], page.nextPageCursor
    except (*UNREADABLE, ValueError) as error:
        raise WireError(f"Bybit transaction log: {error}") from error


def _posting(row: _Row) -> Posting:
    return Posting(
        posting_id=row.id,
        coin=row.currency,
        kind=_KINDS.get(row.type, "other"),
        said=row.type,
        change=row.change,
        balance=row.cashBalance,
        execution_id=row.tradeId,
        ts_venue=int(row.transactionTime) * NS_PER_MS,
        flow=row.cashFlow,
        fee=row.fee,
        funding=row.funding,
    )
