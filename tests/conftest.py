"""What every test stands on: no network, no waiting, golden files, and the two options.

The order of tests is random on every run (pytest-randomly prints its seed; ``pytest --randomly-seed=N`` repeats
one), and Python's hash seed is left random too, so a test that leans on either fails soon instead of late.
"""

import ipaddress
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fuzz", max_examples=1_000, deadline=None)

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--slow`` and ``--update-golden``."""
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files instead of comparing with them")


def pytest_configure(config: pytest.Config) -> None:
    """Close the network before anything is imported, and name the marker that golden tests get."""
    config.addinivalue_line("markers", "golden: compares with a file in tests/golden (set by the `golden` fixture)")
    sys.addaudithook(refuse_the_network)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip slow tests unless asked for, and mark those that use a golden file."""
    skip = pytest.mark.skip(reason="slow; run with --slow")
    for item in items:
        if "golden" in getattr(item, "fixturenames", ()):
            item.add_marker("golden")
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(skip)


class NetworkRefused(BaseException):
    """A test tried to leave this machine. Not an Exception, so that no retry loop can swallow it."""


def refuse_the_network(event: str, args: tuple[object, ...]) -> None:
    """Let sockets reach this machine only.

    An audit hook rather than a patched ``socket.socket``: it also sees what C code does through the socket module.
    Not handled: libraries that call the kernel themselves (uvloop, Rust).
    """
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        address = args[1]
        host = address[0] if isinstance(address, tuple) else None  # a Unix socket's address is a path
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode()
    if host in {None, "", "localhost", socket.gethostname()}:
        return
    try:
        local = ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        local = False
    if not local:
        raise NetworkRefused(f"{event} to {host!r}: tests talk to this machine only; use a recorded or simulated venue")


@dataclass
class FakeClock:
    """A clock that moves only when told to. ``sleep`` returns at once, later."""

    now_ns: int = 1_700_000_000_000_000_000

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return self.now_ns

    def time(self) -> float:
        """Seconds since the epoch."""
        return self.now_ns / 1e9

    def sleep(self, seconds: float) -> None:
        """Move on by ``seconds``."""
        if seconds < 0:
            raise ValueError(f"sleep length must be non-negative, got {seconds}")
        self.now_ns += round(seconds * 1e9)

    async def async_sleep(self, seconds: float) -> None:
        """Move on by ``seconds``, for code that awaits."""
        self.sleep(seconds)


@pytest.fixture
def fake_clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Put a clock in place of ``time.sleep``, ``time.time``, ``time.monotonic`` and their nanosecond twins."""
    clock = FakeClock()
    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, clock.time)
        monkeypatch.setattr(time, f"{name}_ns", clock.time_ns)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    return clock


@dataclass(frozen=True)
class GoldenFiles:
    """Files whose every byte was once looked at and approved."""

    root: Path
    update: bool

    def check(self, name: str, actual: str | bytes) -> None:
        """Compare ``actual`` with the file ``name``, or write it when the files are being updated."""
        path = self.root / name
        content = actual.encode() if isinstance(actual, str) else actual
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            return
        if not path.exists():
            pytest.fail(f"golden file {name} does not exist; look at the output, then run: make update-golden")
        expected = path.read_bytes()
        if content != expected:
            at = next((i for i, (a, b) in enumerate(zip(content, expected, strict=False)) if a != b), None)
            at = min(len(content), len(expected)) if at is None else at
            pytest.fail(
                f"golden file {name} differs from byte {at}: expected {expected[at : at + 40]!r}, "
                f"got {content[at : at + 40]!r}; if the change is meant, run: make update-golden"
            )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> GoldenFiles:
    """Give access to tests/golden; a test that asks for it is run by ``make update-golden``."""
    return GoldenFiles(GOLDEN, update=request.config.getoption("--update-golden"))
