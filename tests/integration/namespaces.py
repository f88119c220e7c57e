"""Hosts on this machine: network namespaces with a bridge between them, made and removed by a test.

    with network("bot", "guard") as net:          net.hub has the bridge, at net.address; the others a cable
        with net.inside("bot"): Popen(…)           it lives on that host; so does whoever calls, until the block ends
        net.filter("bot", "drop")                  nothing passes its cable any more, in silence; net.heal("bot")

All addresses are of the loopback range, which the kernel is told to let through the cables: then clients take the
exchange for one of this machine, as they should, and yet each packet goes through two interfaces. A filter may be
anything that `nft` knows. Without root, `ip` and `nft` there is nothing to test on, and the test is skipped, saying so.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x40000000
_CALL_S = 10
LOSSY = "numgen random mod 100 < 5 drop"
"""Five of a hundred packets are lost."""


def _ran(*words: str, text: str | None = None) -> None:
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=_CALL_S, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")


@contextmanager
def _entered(path: Path) -> Iterator[None]:
    """Live in a namespace for a while; the calling thread alone, and what it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home, path.open() as there:
        if libc.setns(there.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), _CLONE_NEWNET) == 0


class Network:
    """One bridge, and hosts at it."""

    hub = "hub"
    address = "127.9.1.1"

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._prefix, self._hosts = f"mmbot{os.getpid()}", hosts

    def make(self) -> None:
        """Make all of it. Raises OSError."""
        self._host(self.hub)
        self._at(self.hub, "ip", "link", "add", "bridge", "type", "bridge")
        self._addressed(self.hub, "bridge", self.address)
        for number, host in enumerate(self._hosts, 2):
            self._host(host)
            peer = ("peer", "name", "cable", "netns", self._name(host))
            self._at(self.hub, "ip", "link", "add", host, "type", "veth", *peer)
            self._at(self.hub, "ip", "link", "set", host, "master", "bridge", "up")
            self._addressed(host, "cable", f"127.9.1.{number}")
        self.filter(self._hosts[0], LOSSY)
        self.heal(self._hosts[0])

    def remove(self) -> None:
        """Remove what was made; cables go with their hosts."""
        for host in (*self._hosts, self.hub):
            if self._place(host).exists():
                _ran("ip", "netns", "del", self._name(host))

    def _host(self, host: str) -> None:
        _ran("ip", "netns", "add", self._name(host))
        self._at(host, "ip", "link", "set", "lo", "up")
        # Only the one address is this host's own; the others of the range may be elsewhere.
        self._at(host, "ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local")
        self._at(host, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")

    def _addressed(self, host: str, link: str, address: str) -> None:
        self._at(host, "ip", "addr", "add", f"{address}/24", "dev", link)
        self._at(host, "ip", "link", "set", link, "up")

    def _name(self, host: str) -> str:
        return f"{self._prefix}{host}"

    def _place(self, host: str) -> Path:
        return Path("/run/netns") / self._name(host)

    def _at(self, host: str, *words: str, text: str | None = None) -> None:
        _ran("ip", "netns", "exec", self._name(host), *words, text=text)

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """Be on that host until the block ends."""
        with _entered(self._place(host)):
            yield

    def filter(self, host: str, rule: str) -> None:
        """What happens to each packet on the cable of a host, either way, in the words of `nft`."""
        chains = "\n".join(
            f"chain {hook} {{\ntype filter hook {hook} priority 0;\n{way} cable {rule}\n}}"
            for hook, way in (("input", "iifname"), ("output", "oifname"))
        )
        self._at(host, "nft", "-f", "-", text=f"table inet trouble {{\n{chains}\n}}\n")

    def heal(self, host: str) -> None:
        """All packets pass again."""
        self._at(host, "nft", "delete", "table", "inet", "trouble")


@contextmanager
def network(*hosts: str) -> Iterator[Network]:
    """Make a network, and remove it; skips the test where the system cannot."""
    missing = [word for word in ("ip", "nft", "sysctl") if shutil.which(word) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"network namespaces need root and {', '.join(missing) or 'ip, nft, sysctl'}")
    made = Network(hosts)
    try:
        try:
            made.make()
        except (OSError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"this kernel has no such networks: {error}")
        yield made
    finally:
        made.remove()
