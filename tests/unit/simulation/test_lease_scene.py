"""Two machines and their lease: the row changes in one place, and a machine that is killed says nothing more."""

from pathlib import Path

from mmbot.simulation.campaign import campaign
from mmbot.simulation.faults import LEASE_KINDS
from mmbot.simulation.lease import ModelDatabase
from mmbot.simulation.scene import Scene, play


def test_who_was_slower_gets_nothing(tmp_path: Path):
    """Both saw the row free; the second to take it is told that it changed."""
    database = ModelDatabase(Scene(0, tmp_path, profile="lease"))
    seen = database.read()
    first = database.take(seen, "aaa", 10**9)
    assert first is not None
    assert database.take(seen, "bbb", 10**9) is None
    assert database.renew(first.epoch, "aaa")
    assert not database.renew(first.epoch, "bbb")


def test_a_killed_machine_gives_nothing_back(tmp_path: Path):
    """Its lease is held until it is over, as nobody is left to release it."""
    scene = Scene(0, tmp_path, profile="lease", plan=[])
    assert scene.pair is not None
    scene.pair.boot()
    scene.world.run_until(scene.world.start + 20 * 10**9)
    holder = scene.pair.database.read().holder
    leading = next(node for node in scene.pair.nodes if node.lead_of() is not None)
    assert holder.startswith(leading.name)
    scene.pair.kill()
    scene.world.run_until(scene.world.start + 25 * 10**9)
    assert scene.pair.database.read().holder == holder


def test_the_venue_sees_one_trader_at_a_time():
    """P9 holds over seeds in which every fault of a lease strikes, each the same twice, and machines do change."""
    report = campaign(range(16), profile="lease", workers=1)
    assert not report.failures
    assert not report.unequal
    assert report.marks["another machine trades"] > 0
    assert report.marks["fenced"] > 0
    assert {f"fault: {kind}" for kind in LEASE_KINDS} <= set(report.marks)


def test_without_faults_one_machine_trades_to_the_end():
    """Nobody takes a lease that is kept."""
    outcome = play(4, profile="lease", plan=[])
    assert outcome.violation is None
    assert not outcome.marks["another machine trades"]
