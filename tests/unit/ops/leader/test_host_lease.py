"""One run at a time on an account of one machine, and an epoch that only grows."""

import asyncio
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.leader.epochs import EpochFile
from mmbot.ops.leader.host import HostLease
from mmbot.ops.leader.lease import DeposedError, LeaseRefusedError, Taken
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel

SECOND = 1_000_000_000


def lease(folder: Path, account: str = "1", *, now_s: int = 1_700_000_000, environment: str = "testnet") -> HostLease:
    """A lease whose lock and epoch lie in `folder`."""
    epochs = EpochFile(folder / f"{environment}-{account}" / "epoch")
    return HostLease(environment, account, epochs, places=(folder,), wall=lambda: now_s * SECOND)


async def taken(one: HostLease) -> Taken | None:
    """Take it."""
    return await one.take(await one.read())


def test_a_second_run_on_an_account_is_refused_and_names_the_first(tmp_path: Path):
    """While the first lives nobody else begins there; another account, another venue and a later run may."""

    async def work() -> None:
        first = lease(tmp_path)
        await taken(first)
        with pytest.raises(
            LeaseRefusedError, match=rf"another run trades on account 1 \(testnet\), process {os.getpid()}"
        ):
            await lease(tmp_path).read()
        others = [lease(tmp_path, "2"), lease(tmp_path, environment="demo")]
        for other in others:
            await other.read()
            await other.release(clean=True)
        await first.release(clean=True)
        assert not any(path.exists() for path in first.locks)
        again = lease(tmp_path)
        await again.read()
        await again.release(clean=True)

    asyncio.run(work())


def test_the_epoch_grows_with_every_run_also_within_a_second_and_with_a_clock_set_back(tmp_path: Path):
    """It is the start second, or one more than the last."""

    async def work() -> None:
        epochs = []
        for now_s in (1_700_000_000, 1_700_000_000, 1_600_000_000, 1_700_000_500):
            one = lease(tmp_path, now_s=now_s)
            await taken(one)
            epochs.append(one.epoch)
            await one.release(clean=False)
        assert epochs == [1_700_000_000, 1_700_000_001, 1_700_000_002, 1_700_000_500]

    asyncio.run(work())


def test_only_an_orderly_end_spares_the_next_run_its_wait(tmp_path: Path):
    """After a kill the last bytes of the former process may still travel; after a proven end nothing does."""

    async def work() -> None:
        one = lease(tmp_path)
        assert (await taken(one)) == Taken(1_700_000_000, None)
        await one.release(clean=False)
        two = lease(tmp_path)
        assert (await taken(two)) == Taken(1_700_000_001, 0)
        await two.release(clean=True)
        assert (await taken(lease(tmp_path))) == Taken(1_700_000_002, None)

    asyncio.run(work())


def test_an_epoch_file_that_cannot_be_read_stops_the_start(tmp_path: Path):
    """An epoch that is guessed could be used twice."""
    path = tmp_path / "epoch"
    path.write_text("17", encoding="utf-8")
    with pytest.raises(ValueError, match="not below any that was used"):
        EpochFile(path).read()


HOLDER = """
import asyncio, sys
from pathlib import Path
from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.leader.epochs import EpochFile
from mmbot.ops.leader.host import HostLease
lease = HostLease("simulator", sys.argv[1], EpochFile(Path(sys.argv[2])), sys.argv[3])
try:
    asyncio.run(lease.read())
    print("held", flush=True)
except Exception as error:
    print(f"{type(error).__name__}: {error}", flush=True)
sys.stdin.read()
"""


class Engine:
    """A process that takes the lease of an account by itself, in the surroundings that it is given."""

    def __init__(self, folder: Path, account: str, url: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.lease = HostLease("simulator", account, EpochFile(folder / "account" / "epoch"), url)
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, account, str(folder / "account" / "epoch"), url],
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder), "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        """What became of it."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 20)[0]
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """End it at once, and clean up what only an orderly end does."""
        self.process.kill()
        self.process.communicate(timeout=10)
        for path in self.lease.locks:
            path.unlink(missing_ok=True)


@contextmanager
def engines() -> Iterator[list[Engine]]:
    """Processes that are begun meanwhile; all are ended."""
    alive: list[Engine] = []
    try:
        yield alive
    finally:
        for one in alive:
            one.kill()


def begun(alive: list[Engine], folder: Path, account: str, url: str) -> str:
    """Begin another process; what it says."""
    alive.append(Engine(folder, account, url))
    return alive[-1].says()


def test_two_processes_that_share_nothing_but_the_machine_find_one_another(tmp_path: Path):
    """Another TMPDIR, HOME, working directory and session folder, another name of the loopback: the second is kept
    out, until the first is killed. Another account, and another venue of the same number, are free.
    """
    account = f"t{os.getpid()}"
    with engines() as alive:
        assert begun(alive, tmp_path / "a", account, "http://127.0.0.1:61001") == "held"
        said = begun(alive, tmp_path / "b", account, "http://localhost:61001/")
        assert said.startswith("LeaseRefusedError: another run trades on account")
        assert f"process {alive[0].process.pid}" in said
        assert begun(alive, tmp_path / "c", f"{account}x", "http://127.0.0.1:61001") == "held"
        assert begun(alive, tmp_path / "d", account, "http://127.0.0.1:61002") == "held"
        alive[0].process.kill()
        alive[0].process.wait(10)
        assert begun(alive, tmp_path / "b", account, "http://localhost:61001") == "held"


def test_one_venue_by_two_addresses_is_found_in_the_accounts_folder(tmp_path: Path):
    """A relay before the exchange has a port of its own; the folder is one."""
    account = f"u{os.getpid()}"
    with engines() as alive:
        assert begun(alive, tmp_path / "a", account, "http://127.0.0.1:61003") == "held"
        said = begun(alive, tmp_path / "a", account, "http://127.0.0.1:61004")
        assert said.startswith("LeaseRefusedError: another run trades on account")


def test_who_cannot_use_one_place_meets_the_others_in_the_next(tmp_path: Path):
    """A place that is not there, or takes no new file, is passed over; with none left the run is refused."""

    async def work() -> None:
        first, second = tmp_path / "one", tmp_path / "two"
        second.mkdir()
        epochs = [EpochFile(tmp_path / name / "epoch") for name in "ab"]
        hidden = HostLease("demo", "1", epochs[0], places=(first, second))
        await hidden.read()
        first.mkdir()
        with pytest.raises(LeaseRefusedError, match="another run"):
            await HostLease("demo", "1", epochs[1], places=(first, second)).read()
        assert not list(first.iterdir())
        await hidden.release(clean=False)
        with pytest.raises(LeaseRefusedError, match="can hold a lock"):
            await HostLease("demo", "1", epochs[0], places=(tmp_path / "nowhere",)).read()

    asyncio.run(work())


def test_a_lock_that_was_cleaned_away_is_taken_again_and_lost_to_who_was_faster(tmp_path: Path):
    """A file without a name keeps nobody out: looked at with every renewal."""

    async def work() -> None:
        one = lease(tmp_path)
        await one.read()
        one.locks[0].unlink()
        await one.renew()
        assert one.locks[0].exists()
        one.locks[0].unlink()
        other = HostLease("testnet", "1", EpochFile(tmp_path / "elsewhere" / "epoch"), places=(tmp_path,))
        await other.read()
        with pytest.raises(DeposedError, match="was taken away"):
            await one.renew()
        await one.release(clean=False)
        with pytest.raises(LeaseRefusedError, match="another run"):
            await HostLease("testnet", "1", EpochFile(tmp_path / "third" / "epoch"), places=(tmp_path,)).read()

    asyncio.run(work())


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path):
    """Whoever may write to such a place leads nobody to another file, and nothing begins beside it."""
    one = lease(tmp_path)
    one.locks[0].symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LeaseRefusedError, match="expected a lock's file"):
        asyncio.run(one.read())
    assert not (tmp_path / "elsewhere").exists()


def test_who_is_stopped_in_one_folder_is_not_traded_from_another(tmp_path: Path):
    """A kill holds for the account, wherever the next run keeps its files, until it is lifted or gone there."""

    def lease_in(folder: str) -> HostLease:
        epochs = EpochFile(tmp_path / folder / "testnet-1" / "epoch")
        return HostLease("testnet", "1", epochs, places=(tmp_path,), wall=lambda: 1_700_000_000 * SECOND)

    async def work() -> None:
        first = lease_in("one")
        await taken(first)
        state = AccountState.at(tmp_path / "one" / "testnet-1")
        latch = FreezeLatch(state, lambda: 1_700_000_000 * SECOND)
        latch.ask(FreezeAsked(FreezeLevel.KILL, FIRM, "operator", "enough", 1_700_000_000 * SECOND))
        await first.release(clean=True)
        other = lease_in("two")
        with pytest.raises(LeaseRefusedError, match=r"one/testnet-1, and is at KILL there"):
            await other.read()
        again = lease_in("one")  # its own start says so itself
        await taken(again)
        await again.release(clean=True)
        shutil.rmtree(tmp_path / "one")
        assert await taken(other) is not None
        await other.release(clean=True)

    asyncio.run(work())
