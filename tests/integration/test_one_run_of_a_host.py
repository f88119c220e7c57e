"""Two runs on one account of one machine: the second begins nothing, whatever folders and surroundings it is given."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange_server import Exchange, running
from watched_run import until, watched

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """An exchange of its own."""
    with running(tmp_path_factory.mktemp("exchange") / "log", "--tape", "sample:btcusdt", "--speed", "5") as served:
        yield served


@pytest.mark.timeout(90)
def test_a_second_run_with_other_folders_is_kept_out(exchange: Exchange, tmp_path: Path):
    """Another session folder, another TMPDIR: it names the first and ends; after the first was killed it leads."""
    account = exchange.new_account(tier="pro3")
    keys = {"MMBOT_BYBIT_API_KEY": account.key, "MMBOT_BYBIT_API_SECRET": account.secret}
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with (
        watched(exchange, folders[0], {**keys, "TMPDIR": str(folders[0])}) as first,
        watched(exchange, folders[1], {**keys, "TMPDIR": str(folders[1])}) as second,
    ):
        first.account = second.account = account
        engine = first.quoting()
        refused = second.start()
        until(lambda: refused.poll() is not None, 20, "the second run's end")
        assert refused.returncode == 1
        said = " ".join(second.told.path.read_text().split())
        assert f"another run trades on account {account.uid} (simulator), process {engine.pid}" in said
        assert not second.told.events("request")
        engine.kill()
        engine.wait()
        second.start()
        until(lambda: bool(second.told.events("leading")), 20, "the second run leads")
