"""What each of Bybit's return codes means for a request, as one table.

Three verdicts. *refused*: the request did and will do nothing. *unanswered*: it may have, or may still; the order's
exposure stays until the venue is asked. *exists*: the client id is known there already, so a place that meets it is
asked about and never called dead. A code that stands in no row is *unanswered*: silence about a code proves nothing.

HTTP statuses stand among them, since a request that meets one has no other code.

Source: Bybit v5 documents, "Integration guidance: error codes" (UTA and WebSocket order entry). What the documents
leave open is decided for the worse case: 10014, 10019 and 20006 may belong to a request that was executed.
"""

from typing import Literal

import msgspec

from mmbot.venues.port import Reason

__all__ = ["Verdict", "verdict"]


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a code says about the request that met it."""

    kind: Literal["refused", "unanswered", "exists"]
    reason: Reason


_REFUSED: dict[Reason, tuple[int, ...]] = {
    "invalid": (
        400,
        404,
        405,
        10001,
        10017,
        10404,
        110064,
        110094,
        110103,
        170121,
        170130,
        170134,
        170136,
        170137,
        170140,
        170313,
    ),
    "clock": (10002,),
    "credentials": (401, 10003, 10004, 10005, 10007, 10010, 10024, 10028, 10029, 33004, -2015),
    "banned": (403, 10008, 10009, 10018, 10027),
    "rate_limited": (10006, 10403, 20003, 170005, 170222),
    "unknown_order": (110001, 110008, 110010, 170139, 170142, 170143, 170190, 170213),
    "not_modified": (110025, 110026, 110027, 110043, 34040),
    "balance": (110004, 110006, 110007, 110012, 110044, 110045, 110051, 110052, 110053, 170033, 170131),
    "limit": (110009, 110013, 110020, 110021, 110090, 170810, 3400139),
    "price_band": (110003, 110120, 110121, 30208, 30209, 170132, 170133, 170193, 170194, 170371, 170372),
    "reduce_only": (110017,),
    "no_market": (110023, 110042, 110063, 110066, 110074),
    "busy": (110079,),
    "other": (110024, 110028),
}
_OVERLOADED = (429, 10429)
_UNANSWERED = (10000, 10014, 10016, 10019, 20006, 170001, 170007, 170032, 170146, 170147, 170234)
_EXISTS = (110030, 110072, 170141)

_TABLE: dict[int, Verdict] = {
    **{code: Verdict("refused", reason) for reason, codes in _REFUSED.items() for code in codes},
    **{code: Verdict("unanswered", "overloaded") for code in _OVERLOADED},
    **{code: Verdict("unanswered", "other") for code in _UNANSWERED},
    **{code: Verdict("exists", "duplicate") for code in _EXISTS},
}
_UNKNOWN = Verdict("unanswered", "other")


def verdict(code: int) -> Verdict:
    """What a return code other than 0 says; for one that nobody has documented, that nothing is known."""
    return _TABLE.get(code, _UNKNOWN)
