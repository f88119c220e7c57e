"""A recorder on a real exchange over real sockets: what it keeps imports to what it kept."""

import asyncio
import sys
import time
from pathlib import Path

from typer.testing import CliRunner

from mmbot._core import Tape
from mmbot.cli import app
from mmbot.data import ClockPolicy, import_bybit, instruments
from mmbot.exchange.listed import open_hall
from mmbot.exchange.server import Server

FEES = instruments.fee_profile("maker-rebate")


def test_a_live_session_is_recorded_and_imports_again(tmp_path: Path) -> None:
    """A few seconds of a generated market with a rotation in between: every tape is what its raw file imports to."""
    folder = tmp_path / "rec"

    async def run() -> tuple[int, str]:
        server = Server(open_hall(clock=time.time_ns, speed=5.0))
        await server.start()
        words = ["record", "linear:BTCUSDT", "--at", "simulator", "--url", server.http, "--to", str(folder)]
        command = [*words, "--depth", "50", "--every", "1", "--duration", "4", "--json"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mmbot", *command, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(25):
                said, _ = await process.communicate()
        finally:
            await server.stop()
        return process.returncode or 0, said.decode()

    code, said = asyncio.run(run())
    assert code == 0, said
    raws = sorted(folder.glob("*.jsonl.zst"))
    assert len(raws) >= 2
    for raw in raws:
        stamp = raw.name.removeprefix("bybit-").removesuffix(".jsonl.zst")
        [report] = import_bybit(raw, tmp_path / stamp, fees=FEES, clock=ClockPolicy(mode="keep"))
        path = folder / f"bybit-linear-BTCUSDT-{stamp}.tape"
        assert path.read_bytes() == (tmp_path / stamp / report.tape).read_bytes()
        assert Tape.open(path).events > 0
    left = {path.suffix for path in folder.iterdir()}
    assert left == {".zst", ".tape", ".lock"}


def test_mistakes_are_told_in_one_line(tmp_path: Path) -> None:
    """Nothing to record, a market without category, a leftover that is none, a folder without leftovers."""

    def said(*words: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["record", *map(str, words)])
        return result.exit_code, result.output

    assert said()[0] == 2
    assert said("BTCUSDT", "--to", tmp_path) == (
        1,
        "error: 'BTCUSDT' is no market; expected CATEGORY:SYMBOL, such as linear:BTCUSDT\n",
    )
    assert said("--recover", tmp_path) == (0, f"{tmp_path}: nothing was left over\n")
    (tmp_path / "x.live").mkdir()
    (tmp_path / "x.live" / "state").write_bytes(b"no state at all")
    code, text = said("--recover", tmp_path)
    assert (code, "no state of a tape" in " ".join(text.split())) == (1, True)
