"""Where Redis is, and what is said about it."""

import ast
import sys
from pathlib import Path

import pytest

import mmbot.ops
from mmbot.ops.redis_link import LOCAL, RedisMissingError, connected, redis_errors, redis_url, shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:sesame@db.example:6380/2", "redis://db.example:6380/2"),
        ("rediss://:sesame@db.example/0?password=sesame", "rediss://db.example/0"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:sesame@[::1", "(not a URL)"),
        ("sesame", "(not a URL)"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str):
    """Neither before the host nor behind it, nor of what is no URL."""
    assert shown_url(url) == shown


def test_the_option_wins_over_the_environment_and_that_over_this_machine():
    """No URL is built into a command, so no credential is."""
    environ = {"REDIS_URL": "redis://b"}
    assert [redis_url("redis://a", environ), redis_url("", environ), redis_url("", {})] == [
        "redis://a", "redis://b", LOCAL,
    ]  # fmt: skip


def test_a_bad_url_is_refused_without_its_password():
    """The message says what was expected, and not what the secret is."""
    with pytest.raises(ValueError, match="expected redis://") as refused:
        connected("http://:sesame@db.example")
    assert "sesame" not in str(refused.value)


def test_redis_is_imported_by_its_own_modules_only():
    """It is an extra: everything else works without it."""
    importing = set()
    package = Path(mmbot.ops.__file__).parents[1]
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            importing |= {path.name for name in names if name.split(".")[0] == "redis"}
    shadow = {"redis_link.py", "redis_ticks.py", "redis_export.py", "redis_check.py"}
    assert importing == shadow | {"redis_bus.py", "rigs.py"}  # heartbeats, and servers for an exercise


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    """And nothing else needs it: there are no errors of Redis to answer then."""
    for name in ("redis", "redis.asyncio", "redis.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(RedisMissingError, match=r"pip install 'mmbot\[redis\]'"):
        connected(LOCAL)
    assert redis_errors() == ()
