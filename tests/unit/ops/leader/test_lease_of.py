"""Which lease a configuration means."""

from pathlib import Path

import pytest

from mmbot.config import BacktestConfig, ConfigError
from mmbot.config.load import check
from mmbot.ops.leader.build import build_hash
from mmbot.ops.leader.fleet import FleetLease
from mmbot.ops.leader.host import HostLease
from mmbot.ops.leader.leadership import lease_of


def config(**leader: object) -> BacktestConfig:
    """A configuration with a [session.leader]."""
    one = {"tape": "sample:btcusdt", "limits": {"position": "1", "order": "0.1"}}
    return check(BacktestConfig, {"instruments": [one], "session": {"leader": leader}}, "test.toml")


def test_a_host_lease_ends_with_its_process_and_a_fleets_by_time(tmp_path: Path):
    """The fleet's row carries the hashes of program and configuration, and its address is not shown."""
    host = config()
    assert host.session is not None
    lease, ttl_s = lease_of(host, host.session, "1", tmp_path / "epoch", {})
    assert isinstance(lease, HostLease)
    assert ttl_s == float("inf")
    fleet = config(kind="postgres", ttl_s=3)
    assert fleet.session is not None
    environ = {"MMBOT_LEASE_DSN": "postgresql://u:hidden@h/d"}
    lease, ttl_s = lease_of(fleet, fleet.session, "1", tmp_path / "epoch", environ)
    assert isinstance(lease, FleetLease)
    assert (lease.ttl_ms, ttl_s, lease.build, lease.config) == (3_000, 3, build_hash(), fleet.hash())
    assert "hidden" not in repr(lease)


def test_a_fleet_without_its_database_and_a_lease_of_two_renewals_are_refused(tmp_path: Path):
    """Both say what to do."""
    fleet = config(kind="postgres")
    assert fleet.session is not None
    with pytest.raises(ConfigError, match="MMBOT_LEASE_DSN is not set"):
        lease_of(fleet, fleet.session, "1", tmp_path / "epoch", {})
    with pytest.raises(ConfigError, match="at most a third"):
        config(renew_s=2)
