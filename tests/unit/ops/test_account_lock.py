"""One run on an account."""

import os
from pathlib import Path

import pytest

from mmbot.ops.account_lock import alone_on
from mmbot.venues.port import VenueError


def test_a_second_run_on_an_account_is_refused_and_names_the_first(tmp_path: Path):
    """While the first lives nobody else begins there; another account and a later run may."""
    with alone_on("testnet", "1", folder=tmp_path):
        said = rf"another run trades on account 1 \(testnet\), process {os.getpid()}"
        with pytest.raises(VenueError, match=said), alone_on("testnet", "1", folder=tmp_path):
            pass
        with alone_on("testnet", "2", folder=tmp_path), alone_on("demo", "1", folder=tmp_path):
            pass
    with alone_on("testnet", "1", folder=tmp_path):
        pass
