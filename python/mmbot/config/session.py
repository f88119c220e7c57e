"""Where a run trades: which venue, with whose keys, and what it leaves on disk.

Only `mmbot run` reads it; a backtest of the same file does not. A key's name stands here, never the key: credentials
come from the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mmbot.config.strict import Strict

Seconds = Annotated[float, Field(gt=0, le=86_400)]
"""A time up to a day."""
CALLS_MAX = 500
"""Calls per second that no account of Bybit has; a simulator takes more."""
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


class LeaderConfig(Strict):
    """Who may trade on the account: one process at a time, the others wait for it."""

    kind: Literal["host", "postgres"] = "host"
    """Where the lease is: a lock of this machine, or a database for several machines."""
    dsn_variable: VariableName = "MMBOT_LEASE_DSN"
    """Environment variable that says where the database is, as postgresql://USER:PASSWORD@HOST/DATABASE."""
    ttl_s: Seconds = 5.0
    """How long a lease in the database holds without a renewal. A standby takes over that long after the last one, and
    trades R + 2ε + M = 3 s later."""
    renew_s: Seconds = 1.0
    """How often it is renewed, and how long one renewal may take; at most a third of ttl_s."""

    @model_validator(mode="after")
    def _several_renewals(self) -> LeaderConfig:
        if self.renew_s * 3 > self.ttl_s:
            raise ValueError(
                f"renew_s is {self.renew_s:g} and ttl_s {self.ttl_s:g}; expected at most a third, so that one lost "
                "renewal does not end the lease"
            )
        return self


class JournalConfig(Strict):
    """How the journal lies on its disk."""

    segment_records: Annotated[int, Field(ge=2_000, le=10_000_000)] = 65_536
    """A segment with so many records is followed by one that begins with a snapshot. A start reads one or two of
    them, at about 1 µs a record."""
    segment_mib: Annotated[int, Field(ge=1, le=4_096)] = 64
    """So is one of so many MiB."""
    reserve_mib: Annotated[int, Field(ge=1, le=4_096)] = 4
    """MiB that are always set aside behind what is written, for the way out of a run that meets a full disk: 4 are
    some 30,000 cancels and their answers."""


class RedisConfig(Strict):
    """A Redis for heartbeats and caches. It holds no lease, and losing it stops no trading."""

    url_variable: VariableName = "MMBOT_REDIS_URL"
    """Environment variable that says where it is, as redis://HOST:PORT/0; read where no sentinels are named."""
    sentinels: tuple[Annotated[str, Field(pattern=r"^[^\s:]+:\d{1,5}$")], ...] = ()
    """HOST:PORT of each Sentinel that knows where the master is."""
    master: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "mmbot"
    """What the Sentinels call it."""
    heartbeat_s: Seconds = 30.0
    """How often this process says that it lives."""
    stale_s: Seconds = 60.0
    """After how long without that it counts as gone."""
    call_s: Seconds = 1.0
    """How long one call may take."""


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
    journal: JournalConfig = JournalConfig()
    """How the journal lies on its disk."""
    calls_per_second: Annotated[int, Field(gt=0, le=10_000)] = 9
    """Requests that may leave within any second, a fifth of them kept for cancels. Bybit takes 10 from an ordinary
    account, more from some."""
    breaker_s: Seconds = 60.0
    """How long no order leaves, cancels aside, after the venue said that it is asked too much."""
    taker_share_max_pct: Annotated[float, Field(ge=0, le=100)] | None = None
    """Most of an instrument's turnover of the last 15 minutes that may be taken, percent: an order beyond it that may
    take, and does not only reduce, is refused. Absent: any share."""
    orders_s: Seconds = 5.0
    """How often open orders are compared with the venue's."""
    positions_s: Seconds = 10.0
    """How often executions are asked for and positions compared."""
    recon_interval_s: Seconds = 60.0
    """How often everything is compared, every coin of the account included."""
    settle_s: Seconds = 10.0
    """How long the end of a run waits for the venue to have no order of ours."""
    leader: LeaderConfig = LeaderConfig()
    """Who may trade on the account."""
    redis: RedisConfig | None = None
    """Where the run says that it lives; nowhere if not given."""
    gateway: Literal["inside", "process"] | None = None
    """Where the order gateway is: in the run's own process, or in one of its own that alone holds the key. Absent:
    its own for live, inside otherwise."""
    gateway_file: str | None = None
    """The gateway's limits file, relative to this one; the gateway's socket lies beside it. Needed where the gateway is
    a process; inside a run without one the run's own limits are checked a second time."""
    health_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """Port of /live and /ready on this machine alone; 0 takes a free one; closed if not given."""

    guardian: bool = True
    """A guardian watches the run: a process of its own that cancels everything when the run cannot. Live needs it; an
    exchange that is started with the run has none."""

    @field_validator("gateway_file")
    @classmethod
    def _beside_the_configuration(cls, file: str | None, info: ValidationInfo) -> str | None:
        folder = (info.context or {}).get("folder")
        return file if file is None or folder is None else str(Path(folder) / file)

    @model_validator(mode="after")
    def _calls_of_a_venue(self) -> SessionConfig:
        if self.environment != "simulator" and self.calls_per_second > CALLS_MAX:
            raise ValueError(
                f"calls_per_second is {self.calls_per_second}; expected at most {CALLS_MAX}: "
                f"{self.environment} gives nobody more"
            )
        return self

    @model_validator(mode="after")
    def _url_of_a_simulator(self) -> SessionConfig:
        if self.url is not None and self.environment != "simulator":
            raise ValueError(
                f"url is for a simulator; the addresses of {self.environment} are known, so take url out "
                'or set environment = "simulator"'
            )
        return self
