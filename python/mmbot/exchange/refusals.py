"""What the venue says when it says no: the codes and texts of the protocol, each in one place.

A refusal is a business answer (HTTP 200 with a `retCode`) unless it names an HTTP status. Derivatives and spot have
their own codes for the same mistake, so most functions here take the category. Texts that were observed at the venue
are kept word for word, because clients match on them; the others say the same in the venue's voice.
Source: Bybit v5, "Error Codes" and "Rate Limit Rules".
"""

__all__ = ["RefusedError", "bad_parameter", "unsupported"]


class RefusedError(Exception):
    """The venue does not do what it was asked to do. `code` and `message` are the protocol's."""

    def __init__(
        self, code: int, message: str, *, http: int = 200, limit: int = 0, reset_ms: int | None = None
    ) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.http = http
        self.limit = limit
        self.reset_ms = reset_ms


def bad_parameter(said: str) -> RefusedError:
    """A parameter is missing, or does not mean anything here."""
    return RefusedError(10001, said)


def unsupported(name: str) -> RefusedError:
    """The venue knows this; the simulator does not."""
    return RefusedError(10001, f"params error: {name} is not supported by this simulator")


def not_found(category: str, verb: str) -> RefusedError:
    """No such open order: it never was, or is done. `verb` is "cancel" or "replace"."""
    if category == "spot":
        return RefusedError(170213, "Order does not exist.")
    return RefusedError(110001, f"order not exists or too late to {verb}")


def duplicate_link_id(category: str) -> RefusedError:
    """An orderLinkId was used before; it is used up for ever."""
    if category == "spot":
        return RefusedError(170141, "Duplicate clientOrderId.")
    return RefusedError(110072, "OrderLinkedID is duplicate")


def bad_symbol(category: str) -> RefusedError:
    """Not listed here."""
    if category == "spot":
        return RefusedError(170121, "Invalid symbol.")
    return RefusedError(10001, "params error: symbol invalid")


def bad_price(category: str, said: str) -> RefusedError:
    """No price, or one off the grid."""
    if category == "spot":
        return RefusedError(170134, f"Order price {said}.")
    return RefusedError(10001, f"Price invalid: {said}")


def bad_qty(category: str, said: str) -> RefusedError:
    """No quantity, or one off the grid or out of its range."""
    if category == "spot":
        return RefusedError(170137, f"Order quantity {said}.")
    return RefusedError(10001, f"Qty invalid: {said}")


def value_too_small(category: str, minimum: str, coin: str) -> RefusedError:
    """The order is worth too little."""
    if category == "spot":
        return RefusedError(170140, "Order value exceeded lower limit.")
    return RefusedError(110094, f"Order does not meet minimum order value {minimum}{coin}")


def beyond_band(category: str, side: str, limit: str) -> RefusedError:
    """The price is outside the band, and the account wants such orders refused."""
    if category == "spot":
        if side == "Buy":
            return RefusedError(170193, f"Buy order price cannot be higher than {limit}.")
        return RefusedError(170194, f"Sell order price cannot be lower than {limit}.")
    if side == "Buy":
        return RefusedError(110120, f"The order price exceeds the highest bid price {limit}")
    return RefusedError(110121, f"The order price exceeds the lowest ask price {limit}")


def no_money(category: str) -> RefusedError:
    """Not enough balance or margin."""
    if category == "spot":
        return RefusedError(170131, "Insufficient balance.")
    return RefusedError(110007, "ab not enough for new order")


def nothing_to_reduce() -> RefusedError:
    """A reduce-only order without a position on the other side."""
    return RefusedError(110017, "current position is zero, cannot fix reduce-only order qty")


def too_many_orders(category: str) -> RefusedError:
    """As many orders stand as may."""
    if category == "spot":
        return RefusedError(170810, "Cannot exceed maximum of 500 conditional, TP/SL and active orders.")
    return RefusedError(110020, "Not allowed to have more than 500 active orders")


def below_filled(category: str) -> RefusedError:
    """An amend to no more than what is filled already."""
    if category == "spot":
        return RefusedError(170313, "The quantity after modification must be above the executed quantity.")
    return RefusedError(110064, "The order amount after modification is less than the executed amount")


def too_many_visits(limit: int, reset_ms: int) -> RefusedError:
    """The account's rate is used up until `reset_ms`, which lies in the future."""
    return RefusedError(10006, "Too many visits. Exceeded the API Rate Limit.", limit=limit, reset_ms=reset_ms)
