"""One run at a time on an account of one machine, and an epoch that only grows."""

import asyncio
import os
from pathlib import Path

import pytest

from mmbot.ops.leader.epochs import EpochFile
from mmbot.ops.leader.host import HostLease
from mmbot.ops.leader.lease import LeaseRefusedError, Taken

SECOND = 1_000_000_000


def lease(folder: Path, account: str = "1", *, now_s: int = 1_700_000_000, environment: str = "testnet") -> HostLease:
    """A lease whose lock and epoch lie in `folder`."""
    epochs = EpochFile(folder / f"{environment}-{account}" / "epoch")
    return HostLease(environment, account, epochs, folder, wall=lambda: now_s * SECOND)


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
