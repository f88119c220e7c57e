"""docs/exchange-orders.md names every switch, fault, place and admin action that there is."""

from pathlib import Path

from rooms import Room

from mmbot.exchange.admin import Admin
from mmbot.exchange.faults import ENGINE_FAULTS, MESSAGE_FAULTS, REQUEST_FAULTS, Fault
from mmbot.exchange.rates import TIERS
from mmbot.exchange.switches import Switches

PAGE = (Path(__file__).parents[3] / "docs" / "exchange-orders.md").read_text(encoding="utf-8")


def test_every_switch_is_explained_with_its_default():
    """Name by name; a default that is a word or a number stands beside it."""
    missing = [name for name in Switches.__struct_fields__ if f"`{name}`" not in PAGE]
    defaults = dict(zip(Switches.__struct_fields__, Switches.__struct_defaults__, strict=True))
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    told = {name: cells[2].split() for cells in map(_cells, rows) for name in cells[1].replace("`", "").split()}
    wrong = {name: told[name] for name, default in defaults.items() if _written(default) not in told[name]}
    assert (missing, wrong) == ([], {})


def test_every_fault_and_action_is_explained():
    """What may strike, every field of a fault, every admin path, and the first and last tier of each kind."""
    names = [
        *REQUEST_FAULTS,
        *MESSAGE_FAULTS,
        *ENGINE_FAULTS,
        *Fault.__struct_fields__,
        "default",
        "unlimited",
        "mm3",
        "pro6",
    ]
    assert [name for name in names if f"`{name}`" not in PAGE and name not in ("where", "what")] == []
    assert [name for _, name in Admin(Room().gateway, "token").actions if f"/admin/{name}`" not in PAGE] == []
    assert set(TIERS) >= {"default", "vip1", "vip3", "pro1", "pro6", "mm1", "mm3", "unlimited"}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


def _written(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else f"{default:g}" if _number(default) else str(default)


def _number(default: object) -> bool:
    return isinstance(default, float)
