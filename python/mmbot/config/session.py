"""Where a run trades: which venue, with whose keys, and what it leaves on disk.

Only `mmbot run` reads it; a backtest of the same file does not. A key's name stands here, never the key: credentials
come from the environment.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmbot.config.strict import Strict

Seconds = Annotated[float, Field(gt=0, le=86_400)]
"""A time up to a day."""
VariableName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
"""The name of an environment variable."""


class ExchangeConfig(Strict):
    """The embedded exchange: started with the run, stopped with it, on a free port of this machine."""

    market: Literal["tape", "calm", "trend", "gap", "cascade"] = "tape"
    """What happens there: the instruments' own recordings, or a generated market of that character."""
    speed: Annotated[float, Field(gt=0, le=1_000)] = 1.0
    """How many times faster than recorded."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Seed of a generated market."""


class SessionConfig(Strict):
    """One link to one venue, and how carefully the run keeps its books."""

    environment: Literal["mainnet", "testnet", "demo", "simulator"] = "simulator"
    """Which Bybit: the exchange itself, its testnet, its demo account, or our own simulator."""
    url: str | None = None
    """Where a simulator runs already, as http://127.0.0.1:PORT. Absent: one is started with the run."""
    exchange: ExchangeConfig = ExchangeConfig()
    """What the embedded exchange plays, where one is started."""
    key_variable: VariableName = "MMBOT_BYBIT_API_KEY"
    """Environment variable that holds the API key. Not read in shadow, nor for an embedded exchange."""
    secret_variable: VariableName = "MMBOT_BYBIT_API_SECRET"  # noqa: S105  the name of a variable
    """Environment variable that holds the API secret."""
    depth: Literal[1, 50, 200, 1000] = 50
    """Levels of the public book."""
    sync: Literal["batch", "system"] = "batch"
    """When the journal is on the disk: before the orders it speaks of leave, or when the system writes it."""
    folder: str = "runs"
    """Where each run gets a folder of its own: journal, tapes, report."""
    calls_per_second: Annotated[int, Field(gt=0, le=10_000)] = 9
    """Requests that may leave within any second, a fifth of them kept for cancels. Bybit takes 10 from an ordinary
    account, more from some."""
    breaker_s: Seconds = 60.0
    """How long no order leaves, cancels aside, after the venue said that it is asked too much."""
    reconcile_s: Seconds = 60.0
    """How often orders, position and cash are compared with the venue's."""
    settle_s: Seconds = 10.0
    """How long the end of a run waits for the venue to have no order of ours."""

    @model_validator(mode="after")
    def _url_of_a_simulator(self) -> SessionConfig:
        if self.url is not None and self.environment != "simulator":
            raise ValueError(
                f"url is for a simulator; the addresses of {self.environment} are known, so take url out "
                'or set environment = "simulator"'
            )
        return self
