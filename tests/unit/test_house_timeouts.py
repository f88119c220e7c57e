"""No call to the outside without a time limit: looked up in the source, and listed in one table."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "mmbot"
TABLE = ROOT / "docs" / "leader.md"

LIMITS = {
    "aiohttp.ClientSession": {"timeout"},
    "ClientSession": {"timeout"},
    "Redis": {"socket_timeout", "socket_connect_timeout"},
    "Redis.from_url": {"socket_timeout", "socket_connect_timeout"},
    "BlockingConnectionPool.from_url": {"timeout", "socket_timeout", "socket_connect_timeout"},
    "Sentinel": {"socket_timeout", "socket_connect_timeout"},
    "AsyncConnection.connect": {"connect_timeout"},
    "subprocess.run": {"timeout"},
    "urlopen": {"timeout"},
    "urllib.request.urlopen": {"timeout"},
    "socket.create_connection": {"timeout"},
}
"""Calls that take their limit as an argument; each of the names has to be given."""
BOUNDED = {"asyncio.open_connection", "asyncio.open_unix_connection", "picows.ws_connect"}
"""Calls that take none: they stand inside `asyncio.timeout` or `asyncio.wait_for`."""
PER_REQUEST = {"venues/bybit/http.py": "each request has its own limit: session.request(timeout=…)"}
"""Files whose client has no limit of its own, and why that is right."""


def scoped(tree: ast.Module) -> Iterator[tuple[ast.Call, bool]]:
    """Every call, and whether it stands inside a time limit."""

    def walk(node: ast.AST, limited: bool) -> Iterator[tuple[ast.Call, bool]]:
        if isinstance(node, ast.AsyncWith):
            limited = limited or any(
                ast.unparse(item.context_expr).startswith("asyncio.timeout(") for item in node.items
            )
        if isinstance(node, ast.Call):
            yield node, limited
            limited = limited or ast.unparse(node.func) == "asyncio.wait_for"
        for child in ast.iter_child_nodes(node):
            yield from walk(child, limited)

    yield from walk(tree, False)


def unlimited(source: str) -> list[str]:
    """The calls of a source that may take for ever."""
    found = []
    for call, limited in scoped(ast.parse(source)):
        name = ast.unparse(call.func)
        given = {keyword.arg for keyword in call.keywords}
        missing = LIMITS.get(name, set()) - given
        if (missing and None not in given) or (name in BOUNDED and not limited):
            found.append(f"{call.lineno}: {name}{f' without {sorted(missing)}' if missing else ''}")
    return found


def calls_out(source: str) -> bool:
    """Whether a source calls the outside at all."""
    return any(ast.unparse(call.func) in LIMITS.keys() | BOUNDED for call, _ in scoped(ast.parse(source)))


SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}


def test_no_call_to_the_outside_may_take_for_ever():
    """Each has its limit as an argument, or stands inside one."""
    bad = [f"{name}:{call}" for name, text in SOURCES.items() if name not in PER_REQUEST for call in unlimited(text)]
    assert not bad, f"give these a time limit: {bad}"


def test_a_client_without_a_limit_limits_every_request():
    """The exceptions say why, and it is true of them."""
    for name in PER_REQUEST:
        requests = [
            call for call, _ in scoped(ast.parse(SOURCES[name])) if ast.unparse(call.func).endswith("session.request")
        ]
        assert requests
        assert all("timeout" in {keyword.arg for keyword in call.keywords} for call in requests)


def test_every_module_that_calls_out_is_in_the_table():
    """One table says what each call out may take and what follows a failure."""
    table = TABLE.read_text(encoding="utf-8")
    missing = [name for name, text in SOURCES.items() if calls_out(text) and f"`mmbot/{name}`" not in table]
    assert not missing, f"add these to the table of {TABLE.name}: {missing}"


@pytest.mark.parametrize(
    "source",
    [
        "aiohttp.ClientSession()",
        "Redis.from_url(url, socket_timeout=1)",
        "async def f():\n    await asyncio.open_connection('127.0.0.1', 1)",
        "subprocess.run(['x'])",
    ],
)
def test_the_rule_finds_what_it_forbids(source: str):
    """Planted calls without a limit."""
    assert unlimited(source)


@pytest.mark.parametrize(
    "source",
    [
        "aiohttp.ClientSession(timeout=t)",
        "async def f():\n    async with asyncio.timeout(1):\n        await asyncio.open_connection('127.0.0.1', 1)",
        "async def f():\n    await asyncio.wait_for(asyncio.open_connection('127.0.0.1', 1), 1)",
    ],
)
def test_the_rule_lets_pass_what_is_limited(source: str):
    """By an argument, or by what stands around it."""
    assert not unlimited(source)
