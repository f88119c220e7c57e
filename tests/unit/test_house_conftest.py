"""The ground the tests stand on: the closed network, the fake clock, the golden files."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "leave",
    [
        lambda: socket.create_connection(("192.0.2.1", 443), timeout=1),
        lambda: socket.getaddrinfo("api.example.com", 443),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("192.0.2.1", 53)),
        lambda: socket.socket().connect_ex(("192.0.2.1", 443)),
    ],
    ids=["connect", "name look-up", "datagram", "connect_ex"],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_no_test_leaves_this_machine(leave):
    """A connection, a look-up and a datagram to elsewhere are refused with a reason."""
    with pytest.raises(BaseException, match="tests talk to this machine only"):
        leave()


def test_a_local_server_can_be_reached():
    """Loopback stays open, so that integration tests can run real servers."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        with peer:
            client.sendall(b"ping")
            assert peer.recv(4) == b"ping"


def test_the_fake_clock_moves_only_when_slept_on(fake_clock):
    """An hour of sleep takes no time and is seen by every clock of the time module."""
    start = time.monotonic_ns()
    time.sleep(3600)
    assert time.monotonic_ns() - start == 3600 * 10**9
    assert time.time() == fake_clock.time()
    with pytest.raises(ValueError, match="non-negative"):
        time.sleep(-1)


def test_a_golden_file_is_compared_to_the_byte(golden, tmp_path: Path):
    """A missing file, and one byte of difference, fail and say how to accept the change."""
    files = type(golden)(tmp_path, update=False)
    with pytest.raises(pytest.fail.Exception, match=r"day\.json does not exist"):
        files.check("day.json", "{}\n")
    type(golden)(tmp_path, update=True).check("day.json", "{}\n")
    files.check("day.json", "{}\n")
    with pytest.raises(pytest.fail.Exception, match=r"differs from byte 2: .*make update-golden"):
        files.check("day.json", "{}\r\n")
    with pytest.raises(pytest.fail.Exception, match="differs from byte 3"):
        files.check("day.json", "{}\n\n")


SAMPLE = """
import threading
import pytest

def test_quick():
    pass

@pytest.mark.slow
def test_long():
    pass

@pytest.mark.timeout(0.2)
@pytest.mark.slow
def test_stuck():
    threading.Event().wait()
"""


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ((), 0, "1 passed, 2 skipped"),
        (("--slow", "-k", "not stuck"), 0, "2 passed"),
        (("--slow",), 1, "+ Timeout +"),
    ],
    ids=["slow tests wait to be asked", "asked", "a stuck test is ended"],
)
def test_the_options_do_what_they_say(options: tuple[str, ...], code: int, said: str, tmp_path: Path):
    """Slow tests run only with --slow, and a test that hangs is ended at its limit."""
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow: long\ntimeout_method = thread\n")
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    unused = [
        f"-pno:{plugin}" for plugin in ("hypothesispytest", "xdist", "pytest_cov")
    ]  # they only cost start-up time
    command = [sys.executable, "-m", "pytest", *unused, *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
