"""A gateway that is a user of its own: the engine's user comes in and nobody else, and its freezes are seen."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_gateway_socket import Gateway, hello

from mmbot.gateway import wire
from mmbot.ops import gateway_process
from mmbot.ops.account_state import AccountState, write_durably
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.risk import FIRM, FreezeAsked, FreezeLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make processes of two other users")
GATEWAY, ENGINE, OTHER = 65_534, 61_001, 61_002
SHARED = 61_003
"""The group of the engine's folders, which the gateway's user is in."""
MARKETS = [("linear", "BTCUSDT")]


def as_user(uid: int, act: Callable[[], Any]) -> Any:
    """Do something in a process of that user, and return what came of it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([SHARED] if uid != OTHER else [])
            os.setgid(uid)
            os.setuid(uid)
            os.umask(0o027)
            said = json.dumps(act())
        except BaseException:  # noqa: BLE001  the parent tells it
            said = json.dumps("failed: " + traceback.format_exc())
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        found = told.read()
    os.waitpid(child, 0)
    return json.loads(found)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter, with one for the gateway and one for the engine in it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for name, uid in (("gateway", GATEWAY), ("runs", ENGINE)):
            (Path(folder) / name).mkdir()
            os.chown(Path(folder) / name, uid, SHARED)
        (Path(folder) / "runs").chmod(0o2750)
        yield Path(folder)


def test_the_engines_user_comes_in_and_nobody_else(place: Path) -> None:
    """Both users' own processes, at one real socket, beside a third user's and root's."""
    path = place / "gateway" / "gateway.sock"
    ready, done = socket.socketpair()

    async def serving() -> None:
        async with Gateway(path, uids=frozenset({GATEWAY, ENGINE})):
            os.write(ready.fileno(), b"!")
            await asyncio.get_running_loop().sock_recv(ready, 1)

    child = os.fork()
    if child == 0:
        os.setgid(GATEWAY)
        os.setuid(GATEWAY)
        ready.setblocking(False)
        asyncio.run(serving())
        os._exit(0)
    try:
        done.settimeout(20)
        assert done.recv(1) == b"!"
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (GATEWAY, 0o666)
        assert [as_user(uid, lambda: came_in(path)) for uid in (OTHER, ENGINE, GATEWAY)] == [False, True, True]
        assert not came_in(path)
    finally:
        done.send(b"!")
        os.waitpid(child, 0)


def came_in(path: Path) -> bool:
    """Whether a guardian's Hello is answered by a Welcome."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        end.settimeout(10)
        end.connect(str(path))
        try:
            end.sendall(wire.encode(hello("guardian")))
            return bool(end.recv(1))
        except OSError:
            return False


def latched(runs: Path) -> tuple[str, list[str]]:
    """What the gateway goes by, and what it tells."""
    told: list[dict[str, object]] = []
    state = AccountState.named(runs, "mainnet", "7")
    levels = gateway_process._Latched(state, "7", MARKETS, told.append)()
    return levels[""].name, [str(event["trouble"]) for event in told]


def frozen(runs: Path, level: str | None) -> str:
    """What an engine, or a person, finds and does."""
    latch = FreezeLatch(AccountState.of(runs, "mainnet", "7"), lambda: 1)
    if level is not None:
        latch.ask(FreezeAsked(FreezeLevel[level], FIRM, "operator", f"{level} by {os.getuid()}", 1))
    return latch.trouble or latch.board.highest.name


def test_a_freeze_of_the_engine_is_seen_by_a_gateway_of_another_user(place: Path) -> None:
    """Without a folder, on a new account, once frozen, and where the folder is closed; it makes nothing there."""
    runs = place / "runs"
    assert as_user(GATEWAY, lambda: latched(runs)) == ["CANCEL_ALL", ["none yet: no run of this account began here"]]
    assert not list(runs.iterdir())
    assert as_user(ENGINE, lambda: frozen(runs, None)) == "NORMAL"
    assert as_user(GATEWAY, lambda: latched(runs)) == ["NORMAL", []]
    assert as_user(ENGINE, lambda: frozen(runs, "NO_NEW")) == "NO_NEW"
    assert as_user(GATEWAY, lambda: latched(runs)) == ["NO_NEW", []]
    assert "Permission denied" in as_user(GATEWAY, lambda: frozen(runs, "KILL"))
    runs.chmod(0o700)
    level, [trouble] = as_user(GATEWAY, lambda: latched(runs))
    assert (level, "Permission denied" in trouble) == ("CANCEL_ALL", True)


def test_what_root_freezes_in_the_engines_folder_stays_the_engines(place: Path) -> None:
    """Also on an account that nobody had used: the engine reads it, freezes further, and reads that."""
    runs = place / "runs"
    as_user(ENGINE, lambda: str(AccountState.of(runs, "mainnet", "7")))
    assert frozen(runs, "NO_NEW") == "NO_NEW"
    assert as_user(ENGINE, lambda: frozen(runs, None)) == "NO_NEW"
    assert as_user(ENGINE, lambda: frozen(runs, "KILL")) == "KILL"
    state = AccountState.named(runs, "mainnet", "7")
    assert {path.stat().st_uid for path in (state.freeze, state.freeze_head)} == {ENGINE}
    assert {path.stat().st_gid for path in (state.freeze, state.freeze_head)} == {SHARED}
    assert {path.stat().st_mode & 0o777 for path in (state.freeze, state.freeze_head)} == {0o640}


def test_a_link_that_was_laid_for_root_is_not_followed(place: Path) -> None:
    """Whoever owns the folder cannot have root write, or give away, a file of another one."""
    target = place / "secret"
    target.write_text("secret", encoding="utf-8")
    folder = place / "runs"
    (folder / f".operators.toml.{os.getpid()}").symlink_to(target)
    write_durably(folder / "operators.toml", b"new")
    assert (target.read_text(encoding="utf-8"), target.stat().st_uid) == ("secret", 0)
    assert (folder / "operators.toml").stat().st_uid == ENGINE
