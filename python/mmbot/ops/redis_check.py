"""The Redis smoke check: what a run exports can be read back, whole, and does not live for ever.

    findings = await check_redis(export, iteration, sample_keys=10)

The newest iteration is exported, then up to ten of its symbols are read back: the hash must hold its numbers, must
expire, and for at least 60 % of the sample the hour must have begun anew; the flat keys must say what the hash says.
With `backfill`, flat keys that are missing are written from the hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from mmbot.ops.findings import Finding
from mmbot.ops.redis_export import EXPORTED, TTL_S, RedisExport, known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.ops.iterations import Iteration

__all__ = ["check_redis"]

REFRESHED_PCT_MIN: Final = 60
FRESH_S: Final = 60
"""A key whose time to live is within so much of an hour was refreshed just now."""


async def check_redis(
    export: RedisExport, iteration: Iteration, *, sample_keys: int = 10, backfill: bool = False
) -> list[Finding]:
    """Export an iteration and read it back. What Redis refuses is a FAIL, and ends the check."""
    symbols = sorted(iteration.summary.per_symbol)[:sample_keys]
    if not symbols:
        return [
            Finding(check="source", status="FAIL", detail="the iteration has no symbols", hint="give another --src")
        ]
    try:
        await export.redis.exists("mmbot")  # whether it answers at all
        if not await export.export(iteration):
            hint = "look at the server's log: it may be read-only or out of memory"
            return [
                Finding(
                    check="export", status="FAIL", detail=f"Redis did not take the keys: {export.failure}", hint=hint
                )
            ]
        keys = {symbol: export.key(iteration.exchange, symbol) for symbol in symbols}
        return [
            Finding(check="export", status="PASS", detail=f"{len(iteration.summary.per_symbol)} symbols written"),
            *[await _hash(export, iteration, symbol, key) for symbol, key in keys.items()],
            await _lives(export, list(keys.values())),
            *[await _flat(export, key, backfill=backfill) for key in keys.values()],
        ]
    except (RedisError, OSError) as error:
        hint = "start Redis, or give its --redis-url"
        return [Finding(check="link", status="FAIL", detail=f"Redis does not answer: {error}", hint=hint)]


async def _hash(export: RedisExport, iteration: Iteration, symbol: str, key: str) -> Finding:
    wanted = known(iteration.summary.per_symbol[symbol])
    found = {name.decode(): float(value) for name, value in (await _fields(export, key)).items()}
    check = f"hash {key}"
    if found != wanted:
        detail = f"holds {found}, expected {wanted}"
        return Finding(
            check=check, status="FAIL", detail=detail, hint="another writer uses this key; set another --env"
        )
    unknown = [name for name in EXPORTED if name not in wanted]
    if unknown:
        detail = f"{', '.join(unknown)} not known, so not exported"
        return Finding(check=check, status="WARN", detail=detail, hint="the symbol had no fills in this iteration")
    return Finding(check=check, status="PASS", detail=f"{len(found)} fields as in the source")


async def _lives(export: RedisExport, keys: Sequence[str]) -> Finding:
    """Whether keys expire, and whether the export began their hour anew."""
    left = [int(await export.redis.ttl(key)) for key in keys]
    immortal = [key for key, seconds in zip(keys, left, strict=True) if seconds == -1]
    if immortal:
        hint = "another writer has taken the time to live away; set another --env"
        return Finding(check="ttl", status="FAIL", detail=f"{', '.join(immortal)} would live for ever", hint=hint)
    share = 100 * sum(TTL_S - FRESH_S <= seconds <= TTL_S for seconds in left) / len(left)
    detail = f"{share:.0f} % of {len(left)} keys refreshed to {TTL_S} s, at least {REFRESHED_PCT_MIN} % wanted"
    if share < REFRESHED_PCT_MIN:
        return Finding(
            check="ttl", status="WARN", detail=detail, hint="symbols without KPIs have no key; see the hashes"
        )
    return Finding(check="ttl", status="PASS", detail=detail)


async def _flat(export: RedisExport, key: str, *, backfill: bool) -> Finding:
    """Whether the flat keys of a hash say what it says."""
    fields = await _fields(export, key)
    flat = {name: await export.redis.get(f"{key}:{name.decode()}") for name in fields}
    check = f"flat keys of {key}"
    missing = [name for name, value in flat.items() if value is None]
    wrong = [name.decode() for name, value in flat.items() if value is not None and value != fields[name]]
    if wrong:
        hint = "another writer uses these keys; set another --env"
        return Finding(check=check, status="FAIL", detail=f"{', '.join(wrong)} differ from the hash", hint=hint)
    if missing and backfill:
        for name in missing:
            await export.redis.set(f"{key}:{name.decode()}", fields[name], ex=TTL_S)
        return Finding(check=check, status="PASS", detail=f"{len(missing)} written from the hash")
    if missing:
        hint = "write them with --do-flat-backfill, if anybody reads them"
        return Finding(check=check, status="WARN", detail=f"{len(missing)} missing", hint=hint)
    return Finding(check=check, status="PASS", detail="as the hash says")


async def _fields(export: RedisExport, key: str) -> dict[bytes, bytes]:
    async with export.redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(key)
        [answer] = await pipe.execute()
    return dict(answer)
