"""/ready and /live: reasons by name, and a process that answers."""

import asyncio

import aiohttp

from mmbot.ops.health import Health, pause_reasons


def test_pauses_of_a_run_are_named_by_what_they_are_about():
    """Two reasons of one kind are told together; what is not known keeps its name."""
    assert pause_reasons(
        {
            "book linear BTCUSDT": "book lost",
            "public linear": "down",
            "reconcile": "position differs",
            "trade lease": "not renewed",
            "risen order": "order 7",
        }
    ) == {
        "feed_stale": "book lost; down",
        "reconcile": "position differs",
        "lease": "not renewed",
        "risen order": "order 7",
    }


def test_ready_is_503_with_every_reason_and_200_without():
    """Frozen, Redis away and a check that breaks are all named; a live process is not a ready one."""

    async def work() -> None:
        state = {"frozen": "NO_NEW by operator", "redis": ""}
        broken = True

        def fragile() -> dict[str, str]:
            if broken:
                raise RuntimeError("no board")
            return {}

        dead = ""
        health = Health(lambda: dead, {"state": lambda: state, "fragile": fragile})
        timeout = aiohttp.ClientTimeout(total=5)
        async with health.served(0) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=timeout) as web:
            async with web.get("/ready") as answer:
                assert answer.status == 503
                said = await answer.json()
            assert [one["what"] for one in said["reasons"]] == ["frozen", "fragile"]
            async with web.get("/live") as answer:
                assert (answer.status, await answer.json()) == (200, {"live": True, "why": ""})
            state["frozen"], broken, dead = "", False, "the run failed: journal"
            async with web.get("/ready") as answer:
                assert (answer.status, await answer.json()) == (200, {"ready": True, "reasons": []})
            async with web.get("/live") as answer:
                assert answer.status == 503

    asyncio.run(work())
