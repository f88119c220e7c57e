"""What to know before a shadow run starts: each check says PASS, WARN, FAIL or SKIP, and how to mend it.

    for finding in preflight(Cockpit(config=Path("configs/backtest.toml"))):
        print(finding)

FAIL: the run cannot work, or could not be trusted. WARN: it works and something is not as it should be. SKIP: there was
nothing to check. Checks look and change nothing but one file that they write and take away; of environment variables
they name those that are set, and never a value.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmbot.config import BacktestConfig, ConfigError, load
from mmbot.config.profiles import load_profile
from mmbot.config.session import SessionConfig
from mmbot.ops.baseline import BASELINE, read_baseline
from mmbot.ops.findings import Finding
from mmbot.ops.iterations import IterationError
from mmbot.research.backtest import Stage, StrategyError, open_tapes
from mmbot.research.desks import configured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["CHECKS", "Cockpit", "preflight"]

DISK_BYTES_MIN: Final = 1 << 30
SMOKE_NS: Final = 120 * 1_000_000_000
ENVIRONMENT: Final = {"TZ": "UTC", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
"""What the environment should say, so that two runs on two machines read and write alike."""
MONITORING: Final = ("monitoring/prometheus/alerts.yml", "monitoring/grafana/mm_bot_overview.json")


@dataclass(frozen=True, kw_only=True)
class Cockpit:
    """What a run would be started with, and where."""

    config: Path
    out: Path = Path("artifacts/shadow/latest")
    profile: str = ""
    baseline: Path = BASELINE
    root: Path = Path()
    """Where the monitoring files are looked for."""
    smoke: bool = True
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    disk_free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free

    def read(self) -> BacktestConfig:
        """The configuration. Raises ConfigError."""
        if self.profile:
            return load_profile(self.config, BacktestConfig, self.profile)
        return load(self.config, BacktestConfig)


def preflight(cockpit: Cockpit) -> Iterator[Finding]:
    """Make every check, in an order in which the first failure explains the others."""
    for check in CHECKS:
        yield from check(cockpit)


def check_configuration(cockpit: Cockpit) -> Iterator[Finding]:
    """The configuration is read, with its profile, and its strategy can be built."""
    try:
        config = cockpit.read()
        decider = configured(config)
    except (ConfigError, ValueError, OSError) as error:
        hint = "mend the named key; docs/reference/config.md explains each"
        yield Finding(check="configuration", status="FAIL", detail=str(error), hint=hint)
        return
    named = f"{type(decider).__name__} on {len(config.instruments)} instruments, config hash {config.hash()}"
    yield Finding(check="configuration", status="PASS", detail=named)


def check_session(cockpit: Cockpit) -> Iterator[Finding]:
    """There is a live market to listen to."""
    config = _read(cockpit)
    if config is None:
        yield _unread("session")
    elif config.session is None:
        detail = "no [session]: only recorded markets and Redis can be shadowed with it"
        yield Finding(check="session", status="WARN", detail=detail, hint='add [session] environment = "mainnet"')
    elif config.session.environment == "simulator":
        detail = "the market is a simulator's: no real market is shadowed"
        yield Finding(check="session", status="WARN", detail=detail, hint='set session.environment = "mainnet"')
    else:
        yield Finding(check="session", status="PASS", detail=f"public market of {config.session.environment}")


def check_keys(cockpit: Cockpit) -> Iterator[Finding]:
    """A shadow run reads no keys, so none should lie around."""
    config = _read(cockpit)
    session = (config.session if config is not None else None) or SessionConfig()
    names = [session.key_variable, session.secret_variable, "BYBIT_API_KEY", "BYBIT_API_SECRET"]
    lying = [name for name in dict.fromkeys(names) if cockpit.environ.get(name)]
    if lying:
        detail = f"{', '.join(lying)} set (value hidden); a shadow run neither needs nor reads keys"
        yield Finding(check="keys", status="WARN", detail=detail, hint=f"unset {' '.join(lying)}")
    else:
        yield Finding(check="keys", status="PASS", detail="no key in the environment, and none is needed")


def check_environment(cockpit: Cockpit) -> Iterator[Finding]:
    """Time zone, hash seed and text encoding are those of every other run."""
    for name, wanted in ENVIRONMENT.items():
        check = f"environment {name}"
        if cockpit.environ.get(name) == wanted:
            yield Finding(check=check, status="PASS", detail=wanted)
        else:
            found = "another value" if name in cockpit.environ else "not set"
            yield Finding(check=check, status="WARN", detail=f"{found}", hint=f"export {name}={wanted}")


def check_folder(cockpit: Cockpit) -> Iterator[Finding]:
    """The folder of the run can be written to, and the disk has room."""
    nearest = next(place for place in (cockpit.out, *cockpit.out.absolute().parents) if place.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=nearest, prefix=".mmbot-preflight-"):
            pass
    except OSError as error:
        hint = f"make {cockpit.out} writable, or give another --out"
        yield Finding(check="folder", status="FAIL", detail=f"{nearest} cannot be written to: {error}", hint=hint)
        return
    yield Finding(check="folder", status="PASS", detail=f"{cockpit.out} can be written")
    free = cockpit.disk_free(nearest)
    detail = f"{free / (1 << 30):.1f} GB free, at least {DISK_BYTES_MIN >> 30} GB wanted"
    if free < DISK_BYTES_MIN:
        yield Finding(check="disk", status="FAIL", detail=detail, hint="remove old runs, or give --out on another disk")
    else:
        yield Finding(check="disk", status="PASS", detail=detail)


def check_monitoring(cockpit: Cockpit) -> Iterator[Finding]:
    """Somebody would hear of trouble: alert rules and the dashboard are there."""
    if not (cockpit.root / "monitoring").is_dir():
        detail = "no folder monitoring/ here"
        yield Finding(check="monitoring", status="SKIP", detail=detail, hint="start from the repository to check it")
        return
    missing = [name for name in MONITORING if not (cockpit.root / name).is_file()]
    if missing:
        detail = f"{', '.join(missing)} missing"
        yield Finding(check="monitoring", status="WARN", detail=detail, hint="restore them from the repository")
    else:
        yield Finding(check="monitoring", status="PASS", detail="alert rules and dashboard are there")


def check_baseline(cockpit: Cockpit) -> Iterator[Finding]:
    """There is something to hold the run against."""
    if not cockpit.baseline.exists():
        hint = "make one from a run that was good: mmbot shadow baseline FOLDER"
        yield Finding(check="baseline", status="WARN", detail=f"{cockpit.baseline} does not exist", hint=hint)
        return
    try:
        baseline = read_baseline(cockpit.baseline)
    except (IterationError, OSError) as error:
        hint = "make it again: mmbot shadow baseline FOLDER"
        yield Finding(check="baseline", status="FAIL", detail=str(error), hint=hint)
        return
    if len(baseline.total) == 0:
        hint = "make one from a run with fills: mmbot shadow baseline FOLDER"
        yield Finding(check="baseline", status="WARN", detail=f"{cockpit.baseline} knows no KPI", hint=hint)
    else:
        detail = f"{baseline.iterations} iterations, {len(baseline.total)} budgets"
        yield Finding(check="baseline", status="PASS", detail=detail)


def check_smoke(cockpit: Cockpit) -> Iterator[Finding]:
    """The strategy lives through the first two minutes of its recorded market."""
    config = _read(cockpit)
    if not cockpit.smoke:
        yield Finding(check="smoke", status="SKIP", detail="--skip-smoke")
    elif config is None:
        yield _unread("smoke")
    elif any(one.tape is None for one in config.instruments):
        hint = "give each instrument a recording, tape = ..."
        yield Finding(check="smoke", status="SKIP", detail="not every instrument has a tape", hint=hint)
    else:
        yield _smoke(config)


def _smoke(config: BacktestConfig) -> Finding:
    try:
        stage = Stage.set(config, [configured(config)], open_tapes(config))
        stage.run_until(stage.replay.now + SMOKE_NS)
        asked = stage.replay.wakes(0)
    except (StrategyError, ValueError, OSError) as error:
        hint = "mend the strategy or its limits; mmbot backtest shows where it stopped"
        return Finding(check="smoke", status="FAIL", detail=str(error), hint=hint)
    if asked == 0:
        hint = "its wake rule never held in two minutes"
        return Finding(check="smoke", status="WARN", detail="the strategy was never asked", hint=hint)
    orders = stage.replay.orders_named(0)
    return Finding(check="smoke", status="PASS", detail=f"two minutes: asked {asked} times, {orders} orders")


def _read(cockpit: Cockpit) -> BacktestConfig | None:
    """The configuration, or None where `check_configuration` has said why not."""
    try:
        return cockpit.read()
    except ConfigError:
        return None


def _unread(check: str) -> Finding:
    return Finding(check=check, status="SKIP", detail="the configuration cannot be read")


CHECKS: Final[tuple[Callable[[Cockpit], Iterator[Finding]], ...]] = (
    check_configuration,
    check_session,
    check_keys,
    check_environment,
    check_folder,
    check_monitoring,
    check_baseline,
    check_smoke,
)
"""Every check, in order."""
