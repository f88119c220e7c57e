"""What the gateway lets out, whatever its engine says: a file of its own that nobody else may change.

    environment = "mainnet"          # which Bybit; the key is sent nowhere else
    account = "10001"                # whose key it must be, as the venue names it
    exposure = "50000"               # all positions and open orders together, in quote currency

    [[symbol]]
    category = "linear"
    symbol = "BTCUSDT"
    order_qty = "0.1"                # largest order, in units of the instrument
    order_notional = "10000"         # and in quote currency
    position = "0.5"                 # largest position either way, open orders included
    collar_bps = 100                 # how far from the gateway's own references a price may be, either way

The file must be a regular file of the gateway's user or of root, and nobody else may read or write it (0600). No
message of the gateway's protocol changes a limit: to change one, change the file and start the gateway again.
"""

from __future__ import annotations

import os
import stat
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmbot.config import ConfigError, Strict
from mmbot.config.load import check
from mmbot.config.risk import CAP_GROSS, CAP_ORDER
from mmbot.config.schema import Decimal as Number

__all__ = ["GatewayLimits", "SymbolLimits", "Taking", "read_limits"]

FILE_BYTES_MAX = 1 << 20
Taking = Literal["never", "reducing", "always"]
"""Which orders may take liquidity: none, those that shrink a position (immediate-or-cancel), or any."""
_PATH = r"^[^\x00]+$"
Milliseconds = Annotated[int, Field(gt=0, le=60_000)]


class SymbolLimits(Strict):
    """Hard caps of one instrument. Quantities in units of the instrument, amounts of money in its quote currency."""

    category: Literal["linear", "inverse", "spot"]
    """What it is at the venue."""
    symbol: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,32}$")]
    """Its name at the venue."""
    order_qty: Number
    """Largest order."""
    order_notional: Number
    """Largest order, in money at its own price."""
    position: Number
    """Largest position either way, counting every open, unanswered and changing order in full. Of spot, what is
    held more or less than when the gateway started."""
    collar_bps: Annotated[int, Field(gt=0, lt=10_000)]
    """How far a price may be from each of the gateway's references, either way."""
    taking: Taking = "reducing"
    """Which orders need not be post-only."""


class GatewayLimits(Strict):
    """All caps of one gateway, and where its key may be used. Each fits into the one around it."""

    environment: Literal["mainnet", "testnet", "demo", "simulator"]
    """Which Bybit the key is for."""
    account: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """The account that the key must belong to. Mainnet needs it."""
    symbol: Annotated[list[SymbolLimits], Field(min_length=1)]
    """The instruments that may be traded; everything else is refused."""
    exposure: Number
    """All instruments together: the larger side of each, at its reference, in quote currency."""
    requests_per_second: Annotated[int, Field(gt=0, le=10_000)] = 20
    """Places and amends in any second."""
    requests_per_minute: Annotated[int, Field(gt=0, le=600_000)] = 600
    """Places and amends in any minute."""
    decision_age_ms: Milliseconds = 250
    """How old a decision may be when it arrives here."""
    reference_age_ms: Milliseconds = 5_000
    """How old a reference price may be; Bybit repeats an unchanged touch every three seconds."""
    clock_jump_ms: Milliseconds = 250
    """How far the wall clock may move against the steady one between two requests before nothing new leaves."""
    clock_hold_ms: Milliseconds = 5_000
    """For how long nothing new leaves after the clock jumped."""
    socket: Annotated[str, Field(pattern=_PATH)] = "gateway.sock"
    """Where the engine finds the gateway, relative to this file."""
    folder: Annotated[str, Field(pattern=_PATH)] = "runs"
    """Where the state of accounts lies (`session.folder` of the runs), relative to this file: the freeze latch is
    there."""
    engine_uid: Annotated[int, Field(ge=0)] | None = None
    """The user that the engine runs as, where it is not the gateway's own."""

    @model_validator(mode="after")
    def _one_of_each(self) -> GatewayLimits:
        names = [(one.category, one.symbol) for one in self.symbol]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0][0]} {twice[0][1]} stands there twice; keep one")
        exposure = Decimal(self.exposure)
        _at_most("exposure", exposure, CAP_GROSS, "what no gateway lets anybody set it above")
        for one in self.symbol:
            order, notional, position = Decimal(one.order_qty), Decimal(one.order_notional), Decimal(one.position)
            if not order or not notional or not position:
                raise ValueError(
                    f"{one.symbol}: order_qty, order_notional and position must be above zero; "
                    "take the symbol out instead"
                )
            _at_most(f"{one.symbol}: order_qty", order, position, "position")
            _at_most(f"{one.symbol}: order_notional", notional, CAP_ORDER, "what no gateway lets anybody set it above")
            _at_most(f"{one.symbol}: order_notional", notional, exposure, "exposure")
        if self.requests_per_second > self.requests_per_minute:
            raise ValueError(
                f"requests_per_second is {self.requests_per_second}; expected at most requests_per_minute, "
                f"{self.requests_per_minute}"
            )
        if self.requests_per_minute > 60 * self.requests_per_second:
            raise ValueError(
                f"requests_per_minute is {self.requests_per_minute}; expected at most 60 times requests_per_second, "
                f"{60 * self.requests_per_second}: more can never leave"
            )
        return self


def _at_most(name: str, given: Decimal, most: Decimal, what: str) -> None:
    """Raise ValueError for a limit that is wider than the one around it."""
    if given > most:
        raise ValueError(f"{name} is {given:f}; expected at most {most:f}, {what}")


def read_limits(path: Path) -> GatewayLimits:
    """Read a limits file, if it is one that only its owner can have written.

    Raises ConfigError for a file that is missing, a link, somebody else's, open to others, or does not fit.
    """
    text = _private_text(path)
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of too many digits is no TOMLDecodeError
        raise ConfigError(f"{path}: is no TOML: {error}") from None
    limits = check(GatewayLimits, values, str(path), folder=path.parent)
    if limits.environment == "mainnet" and limits.account is None:
        raise ConfigError(f"{path}: account: mainnet needs its number, so that no other key is used by mistake")
    return limits


def _private_text(path: Path) -> str:
    """The file's text. What is checked is the very file that is read: it is opened first, and no link is followed."""
    try:
        opened = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        said = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: {said}; expected the gateway's limits, a plain file") from None
    with opened:
        seen = os.fstat(opened.fileno())
        if not stat.S_ISREG(seen.st_mode):
            raise ConfigError(f"{path}: is no plain file")
        if seen.st_uid not in (0, os.geteuid()):
            raise ConfigError(f"{path}: belongs to user {seen.st_uid}; chown it to the gateway's user or to root")
        if seen.st_mode & 0o077:
            raise ConfigError(f"{path}: its mode is {seen.st_mode & 0o777:04o}; only its owner may use it: chmod 600")
        raw = opened.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {FILE_BYTES_MAX} bytes; that is no limits file")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text: {error}") from None
