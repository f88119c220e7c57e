"""Every decoder of bytes from outside, by name: whatever is done to good input is refused clearly or decodes to types.

`make test` tries a hundred changes of each, `make fuzz` thousands. The tape's head and records, its archive and
decimal steps are decoded by the core: tests whose names begin with `fuzz_`, in crates/tape/tests.
"""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mmbot.config import BacktestConfig, ConfigError, load
from mmbot.venues.binance import wire as binance
from mmbot.venues.bybit import orders_wire as orders
from mmbot.venues.bybit import wire as bybit
from mmbot.venues.port import CancelOrder
from mmbot.venues.records import WireError
from mmbot.venues.sse import wire as sse

pytestmark = pytest.mark.fuzz

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"


@dataclasses.dataclass(frozen=True)
class Target:
    """One decoder: good input, how it is read, and the one error with which it may refuse."""

    good: Sequence[bytes]
    decode: Callable[[bytes, Path], Sequence[Any]]
    refusal: type[ValueError]


def frames(pattern: str) -> list[bytes]:
    """Captured frames by name."""
    found = [path.read_bytes() for path in sorted((GOLDEN / "frames").glob(pattern)) if "expected" not in path.name]
    assert found, pattern
    return found


def sse_lines() -> list[bytes]:
    """A captured line of each kind."""
    lines = zstandard.decompress((GOLDEN / "captures" / "sse-600519.log.zst").read_bytes()).splitlines()
    return [next(line for line in lines if kind in line) for kind in (b"MsgType=192", b"MsgType=191", b"MsgType=111")]


def private(pattern: str) -> list[bytes]:
    """Documented private frames of Bybit by name."""
    found = [path.read_bytes() for path in (GOLDEN / "bybit-private").glob(pattern) if "expected" not in path.name]
    assert found, pattern
    return found


def told(raw: bytes, _: Path) -> Sequence[Any]:
    """What a private frame says."""
    found = orders.decode_private(raw, {})
    return [found] if isinstance(found, orders.Reply) else found


def answered(raw: bytes, _: Path) -> Sequence[Any]:
    """What an answer of the trade socket says about three requests."""
    said = orders.decode_trade(raw)
    if isinstance(said, orders.Reply):
        return [said]
    asked = [CancelOrder(client_id=f"mm-{n}", category="linear", symbol="BTCUSDT") for n in range(3)]
    return [said, *orders.answer_facts(asked, said.answer)]


def page(topic: bytes) -> list[bytes]:
    """Documented private frames of a topic, as the page that HTTP would give."""
    rows = [msgspec.json.decode(raw)["data"] for raw in private("*.json") if b'"topic":"' + topic in raw]
    return [msgspec.json.encode({"list": listed, "nextPageCursor": "a%3D"}) for listed in rows]


def loaded(text: bytes, folder: Path) -> list[BacktestConfig]:
    """A configuration read from a file."""
    path = folder / "run.toml"
    path.write_bytes(text)
    return [load(path, BacktestConfig)]


TARGETS = {
    "binance wire": Target(frames("binance-*.json"), lambda raw, _: binance.decode(raw, "BTCUSDT"), WireError),
    "bybit wire": Target(frames("bybit-*-[!i]*.json"), lambda raw, _: bybit.decode(raw), WireError),
    "bybit terms": Target(frames("bybit-*-info.json"), lambda raw, _: bybit.decode_terms(raw), WireError),
    "bybit private": Target([*private("order-*.json"), *private("e*.json"), *private("p*.json")], told, WireError),
    "bybit wallet and replies": Target([*private("w*.json"), *private("reply-*.json")], told, WireError),
    "bybit trade socket": Target(private("trade-*.json"), answered, WireError),
    "bybit answers": Target(frames("bybit-*-info.json"), lambda raw, _: [orders.decode_answer(raw)], WireError),
    "bybit orders": Target(page(b"order"), lambda raw, _: orders.decode_orders(raw, "linear")[0], WireError),
    "bybit executions": Target(
        page(b"execution"), lambda raw, _: orders.decode_executions(raw, "linear", {})[0], WireError
    ),
    "bybit positions": Target(page(b"position"), lambda raw, _: orders.decode_positions(raw, "linear")[0], WireError),
    "bybit coins": Target(page(b"wallet"), lambda raw, _: orders.decode_wallet(raw, 0), WireError),
    "sse lines": Target(sse_lines(), lambda raw, _: [sse.decode(raw, date(2023, 2, 7))], WireError),
    "config loader": Target([path.read_bytes() for path in (ROOT / "configs").glob("*.toml")], loaded, ConfigError),
}

changes = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "splice", "insert", "nest"]),
        st.integers(0, 1 << 16),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=4,
)


def nested(good: bytes, deep: int) -> bytes:
    """The input with an unknown key before all others, whose value is lists in lists."""
    inner = b"[" * deep + b"]" * deep
    return b"x = " + inner + b"\n" + good if not good.startswith(b"{") else b'{"x":' + inner + b"," + good[1:]


def mutated(good: bytes, wanted: list[tuple[str, int, bytes]]) -> bytes:
    """The input after bit flips, cuts, repeated pieces, foreign bytes and values nested beyond reading."""
    for kind, place, piece in wanted:
        at = place % (len(good) + 1)
        match kind:
            case "flip":
                good = good[:at] + bytes(byte ^ piece[0] for byte in good[at : at + 1]) + good[at + 1 :]
            case "cut":
                good = good[:at]
            case "splice":
                good = good[:at] + good[at // 2 : at // 2 + 40] + good[at:]
            case "nest":
                good = nested(good, 1_000 + place)
            case _:
                good = good[:at] + piece + good[at:]
    return good


def read_again(one: Any) -> Any:
    """A record rebuilt from its plain values by its own types, strictly."""
    if isinstance(one, BacktestConfig):
        return BacktestConfig.model_validate(one.model_dump())
    return msgspec.convert(msgspec.to_builtins(one), type(one), strict=True)


@pytest.mark.parametrize("name", TARGETS)
def test_good_input_is_decoded(name: str, tmp_path: Path) -> None:
    """What the changes start from is accepted, so a refusal comes from the change."""
    target = TARGETS[name]
    for good in target.good:
        for one in target.decode(good, tmp_path):
            assert read_again(one) == one


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "sse lines"])  # whose words do not nest
def test_input_nested_beyond_reading_is_refused(name: str, tmp_path: Path) -> None:
    """A hundred thousand lists in one another under a key that nobody asked for are the decoder's own error."""
    target = TARGETS[name]
    for good in target.good:
        with pytest.raises(target.refusal):
            target.decode(nested(good, 100_000), tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_input_is_refused_or_decodes_to_typed_records(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Flips, cuts and splices of real input end in the decoder's own error, or in records whose fields have types."""
    target, folder = TARGETS[name], tmp_path_factory.mktemp("fuzz")

    @given(good=st.sampled_from(target.good), wanted=changes)
    def property_(good: bytes, wanted: list[tuple[str, int, bytes]]) -> None:
        try:
            found = target.decode(mutated(good, wanted), folder)
        except target.refusal:
            return
        for one in found:
            assert read_again(one) == one

    property_()
