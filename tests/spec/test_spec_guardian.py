"""Executes guardian.md."""

import sys
from pathlib import Path

import pytest
from spec_tables import Table, tables

from mmbot.guardian.core import Cut, Heard, Latched
from mmbot.guardian.words import Goodbye
from mmbot.risk.levels import FreezeLevel

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "guardian"))
from guarded_world import NS, OURS, World, watching

TABLES = list(tables(Path(__file__).with_name("guardian.md")))


def happens(world: World, said: str) -> None:
    """One row's event."""
    name, _, number = said.rpartition(" ")
    match said:
        case "silence" | "beats":
            world.beating = said == "beats"
        case "dead":
            world.beating = False
            world.tell(Cut(1, True, "killed"))
        case "goodbye" | "goodbye unclean":
            world.beating = False
            world.tell(Heard(1, Goodbye(left=said == "goodbye", why="the end")))
        case "head back":
            world.head -= 5
        case "head forks":
            world.moves, world.chain = False, "other"
        case "one of ours open":
            world.resting = (OURS,)
        case _ if name == "hello":
            world.hello(int(number), 2 if int(number) == 7 else 1)
            world.epoch = int(number)
            world.beating = world.epoch != 7
        case _ if name == "latch":
            world.tell(Latched(FreezeLevel(int(number))))
        case _ if name == "venue has":
            world.position = number
        case _ if name in ("level", "lag", "unheard"):
            setattr(world, name, int(number) if name == "level" else float(number))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_the_guardian_moves_as_the_table_says(table: Table) -> None:
    """Row by row: what happens, and where the guardian stands then."""
    world, start = watching(), 1_000 * NS
    for row in table.rows:
        world.go(float(row["s"]) - (world.now - start) / NS)
        happens(world, row["what happens"])
        world.go(0.3)
        where = f"guardian.md:{table.line} {row}: {world.alarms}"
        assert world.core.state == row["state"], where
        assert world.core.zero is (row["zero"] == "yes"), where
