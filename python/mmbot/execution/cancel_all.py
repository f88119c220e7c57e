"""Everything open has to leave, and is asked for until the venue says twice that nothing is there.

    bulk ── refused, silent ──▶ one by one, over the next way ── both ways failed ──▶ again after 4, 8, 16 s
     │                                     │
     └──── look ◀──────────────────────────┘      two empty looks ≥ 1 s apart, the last after no create can arrive
             │
             └── still there: bulk again while that helps (a venue takes 500 of more), then one by one

`force` skips the bulk cancel and waits 1, 2, 4 s. A refusal is no evidence: "unknown order" may be said of an order
that the venue does not show yet, so it is cancelled until a look does not list it. While the way of asking is silent,
the stream's word on every order that we know of is the second best proof (`told`), and is called so.

A function of what it is told and of time, in ns since epoch; `mmbot.venues.cancelling` does what it asks for.
Not handled: an order that the venue neither lists nor ever listed, later than `late_until`.

Source: reliability.md 5.1, P7, rows 7, 17, 39, 40; Bybit v5 "Cancel All Orders".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from mmbot.execution.backoff import FORCED_CALLS, ORDER_CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mmbot.execution.backoff import Backoff

__all__ = [
    "FORCE",
    "NORMAL",
    "Bulk",
    "CancelAllPlan",
    "CancelAllPlanTiming",
    "CancelAllResult",
    "CancelSome",
    "CancelWord",
    "Look",
    "Target",
]

Path: TypeAlias = Literal["rest", "trade"]
Market: TypeAlias = tuple[str, str]
CancelWord: TypeAlias = Literal["taken", "unknown", "soft", "refused", "silent"]
"""What came of asking to cancel one order: taken in; "no such order"; not now (rate, busy); no; no answer."""
Proof: TypeAlias = Literal["asked", "told", ""]

_NS = 1_000_000_000
_PATHS: tuple[Path, ...] = ("rest", "trade")


@dataclass(frozen=True, slots=True)
class Target:
    """An order that has to leave."""

    category: str
    symbol: str
    client_id: str
    venue_id: str = ""

    @property
    def key(self) -> str:
        """Its name here: ours, or the venue's for an order that is not ours."""
        return self.client_id or self.venue_id

    @property
    def market(self) -> Market:
        """Where it rests."""
        return self.category, self.symbol


@dataclass(frozen=True, slots=True)
class Bulk:
    """Ask once for everything of a market to be cancelled."""

    market: Market


@dataclass(frozen=True, slots=True)
class Look:
    """Ask what is open in a market."""

    market: Market
    asked: int


@dataclass(frozen=True, slots=True)
class CancelSome:
    """Cancel these orders of one category, by one request over one way."""

    path: Path
    targets: tuple[Target, ...]


Step: TypeAlias = Bulk | Look | CancelSome


@dataclass(frozen=True, kw_only=True)
class CancelAllPlanTiming:
    """Waits in seconds."""

    again: Backoff = ORDER_CALLS
    """After both ways failed for an order, before it is tried again; after the last it has failed."""
    soft_s: float = 0.25
    """After an answer that says: not now."""
    apart_s: float = 1.0
    """Between two empty looks."""
    look_s: float = 0.1
    """From a cancel that was taken in to the look at what is left."""
    ill_s: float = 2.0
    """How long a way that was silent is not the first choice, and until it is looked again over it."""
    told_s: float = 2.0
    """How long the way of asking has to be silent before the stream's word is taken for proof."""
    alarms_s: tuple[float, ...] = (5.0, 10.0, 15.0, 20.0)
    give_up_s: float = 32.0
    batch: int = 10
    """Orders of one request: what a venue takes in a second."""
    bulk_from: int = 10
    """So many left are worth another bulk cancel, as long as the last one helped."""


NORMAL = CancelAllPlanTiming()
FORCE = CancelAllPlanTiming(again=FORCED_CALLS, give_up_s=12.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAllResult:
    """How a cancel-all ended."""

    canceled_count: int
    """Orders that left without being filled, as far as was heard."""
    failed: tuple[str, ...]
    """Orders, or else whole markets, that are not proven to be gone."""
    method: Literal["bulk", "per_order_fallback"]
    proof: Proof
    """asked: the venue listed nothing, twice. told: it could not be asked; the stream told the end of each."""
    canceled: tuple[str, ...]
    took_ns: int

    def as_dict(self) -> dict[str, object]:
        """The three words that users know."""
        return {"canceled_count": self.canceled_count, "failed": list(self.failed), "method": self.method}


@dataclass(slots=True)
class _Leaving:
    target: Target
    shown: bool
    """The venue listed it: when it is listed no more, it is gone."""
    due: int
    tried: list[Path] = field(default_factory=list)
    """Ways that failed in this round."""
    rounds: int = 0
    under_way: bool = False
    asked: bool = False
    failed: bool = False


@dataclass(slots=True)
class _Place:
    market: Market
    bulk_due: int | None
    look_due: int | None
    singly: bool
    """Orders are cancelled one by one here."""
    bulk_taken: bool = False
    busy: bool = False
    left_before: int | None = None
    empty_at: int | None = None
    zero: bool = False


class CancelAllPlan:
    """One cancel-all over some markets.

    believed: orders that are open as far as we know. late_until: until then a create of ours may still come to be at
    the venue; asked again at each step. ours: if given, orders that it denies are neither cancelled nor counted, and no
    bulk cancel is sent where one is.
    """

    def __init__(
        self,
        markets: Iterable[Market],
        *,
        trigger: str,
        now: int,
        believed: Iterable[Target] = (),
        late_until: Callable[[], int] = lambda: 0,
        ours: Callable[[Target], bool] | None = None,
        force: bool = False,
        timing: CancelAllPlanTiming | None = None,
    ) -> None:
        self.trigger, self.timing = trigger, timing or (FORCE if force else NORMAL)
        self.events: list[dict[str, object]] = []
        """What is to be told; whoever tells it takes it out."""
        self._began, self._late_until, self._ours = now, late_until, ours
        bulk = not force and ours is None
        self._places = {
            market: _Place(market, bulk_due=now if bulk else None, look_due=None if bulk else now, singly=force)
            for market in markets
        }
        self._may_bulk = not force
        self._orders: dict[str, _Leaving] = {}
        self._gone: dict[str, bool] = {}
        for target in believed:
            self._add(target, now, shown=False)
        self._ill: dict[Path, int] = {}
        self._asked_at: int | None = None
        self._last_gone = now
        self._under_way: dict[Path, int] = dict.fromkeys(_PATHS, 0)
        self._alarms = 0
        self._method: Literal["bulk", "per_order_fallback"] = "bulk"
        self.result: CancelAllResult | None = None
        """None until it is over."""

    def _add(self, target: Target, now: int, *, shown: bool) -> None:
        if target.market not in self._places:
            return
        known = self._orders.get(target.key)
        if known is None:
            self._orders[target.key] = _Leaving(target, shown, due=now)
            self._gone.pop(target.key, None)
        else:
            known.target, known.shown = target, known.shown or shown

    # ---- what to do now

    def steps(self, now: int) -> list[Step]:
        """Return what to ask for now; each is answered by one of the methods below."""
        if self.result is not None:
            return []
        self._conclude(now)
        if self.result is not None:
            return []
        self._raise_alarms(now)
        return [*self._market_steps(now), *self._cancels(now)]

    def _market_steps(self, now: int) -> Iterator[Step]:
        for place in self._places.values():
            if place.busy or place.zero:
                continue
            if place.bulk_due is not None and place.bulk_due <= now:
                place.busy, place.bulk_due = True, None
                yield Bulk(place.market)
            elif place.look_due is not None and place.look_due <= now:
                place.busy, place.look_due = True, None
                yield Look(place.market, now)

    def _cancels(self, now: int) -> Iterator[Step]:
        for path in _PATHS:
            waiting = [
                one
                for one in self._orders.values()
                if self._waits(one) and one.due <= now and self._way(one, now) == path
            ]
            for category in dict.fromkeys(one.target.category for one in waiting):
                alike = [one for one in waiting if one.target.category == category]
                if self._under_way[path] or not alike:
                    continue
                batch = alike[: self.timing.batch]
                for one in batch:
                    one.under_way = one.asked = True
                self._under_way[path] += 1
                self._method = "per_order_fallback"
                yield CancelSome(path, tuple(one.target for one in batch))

    def _waits(self, one: _Leaving) -> bool:
        """To be cancelled one by one, and nothing is under way for it."""
        return self._places[one.target.market].singly and not one.under_way and not one.failed

    def _way(self, one: _Leaving, now: int) -> Path:
        """Choose the first way that has not failed in this round, those that were silent lately last."""
        left = [path for path in _PATHS if path not in one.tried] or list(_PATHS)
        return min(left, key=lambda path: self._ill.get(path, 0) > now)

    def due(self, now: int) -> int:
        """When to come again, if nothing is answered before; always later than now."""
        times = [self._began + round(self.timing.give_up_s * _NS)]
        times += [self._began + round(at * _NS) for at in self.timing.alarms_s[self._alarms :]]
        for place in self._places.values():
            if not place.busy and not place.zero:
                times += [at for at in (place.bulk_due, place.look_due) if at is not None]
        times += [one.due for one in self._orders.values() if self._waits(one)]
        if self._asked_at is None and not self._orders:
            times.append(max(self._last_gone + round(self.timing.told_s * _NS), self._late_until()))
        return min((at for at in times if at > now), default=now + _NS)

    # ---- what came of it

    def bulk_answered(self, market: Market, why: str, now: int, *, silent: bool = False) -> None:
        """Hear what came of a bulk cancel; `why` is "" where it was taken in."""
        place = self._places[market]
        place.busy, place.look_due = False, now
        place.bulk_taken |= not why
        if why:
            place.singly = True
            if silent:
                self._fall_ill("rest", now)
            self._tell("bulk_cancel_failed", symbol=market[1], why=why)

    def looked(self, look: Look, found: Sequence[Target] | None, why: str, now: int) -> None:
        """Hear what is open there; None where nobody answered, and why."""
        place = self._places[look.market]
        place.busy = False
        if found is None:
            self._fall_ill("rest", now)
            place.look_due = now + round(self.timing.ill_s * _NS / 2)
            place.singly = True
            self._tell("cancel_all_unverified", symbol=look.market[1], why=why)
            return
        self._asked_at = now
        self._ill.pop("rest", None)
        left = [one for one in found if self._ours is None or self._ours(one)]
        self._forget_absent(look, {one.key for one in left}, now)
        for target in left:
            self._add(target, now, shown=True)
        if left or any(one.target.market == look.market for one in self._orders.values()):
            place.empty_at = None
            self._again(place, len(left), foreign=len(left) < len(found), now=now)
        else:
            self._empty(place, look, now)

    def _forget_absent(self, look: Look, listed: set[str], now: int) -> None:
        """What is listed no more is gone; what never was, only once no create can arrive any more."""
        late, bulk = self._late_until(), self._places[look.market].bulk_taken
        for key, one in list(self._orders.items()):
            if one.target.market == look.market and key not in listed and (one.shown or look.asked >= late):
                self._leave(key, counted=one.shown or bulk or one.asked, now=now)

    def _leave(self, key: str, *, counted: bool, now: int) -> None:
        del self._orders[key]
        self._gone[key] = counted
        self._last_gone = now

    def _again(self, place: _Place, left: int, *, foreign: bool, now: int) -> None:
        """Something is there: in bulk while that helps, else one by one; then look again."""
        before, place.left_before = place.left_before, left
        helps = before is None or left < before
        first = before is None and self._ours is not None
        worth = first or (helps and left >= self.timing.bulk_from)
        if self._may_bulk and worth and left and not foreign and not place.singly:
            place.bulk_due = now
        else:
            place.singly = True
        place.look_due = now + round(self.timing.look_s * _NS)

    def _empty(self, place: _Place, look: Look, now: int) -> None:
        apart, late = round(self.timing.apart_s * _NS), self._late_until()
        if place.empty_at is not None and look.asked >= place.empty_at + apart and look.asked >= late:
            place.zero = True
            return
        if place.empty_at is None:
            place.empty_at = now
        place.look_due = max(place.empty_at + apart, now + round(self.timing.look_s * _NS), late)

    def cancels_answered(self, step: CancelSome, words: Sequence[tuple[CancelWord, str]], now: int) -> None:
        """Hear what came of the cancels of one request, in its order, each with the venue's words."""
        self._under_way[step.path] -= 1
        if any(word == "silent" for word, _ in words):
            self._fall_ill(step.path, now)
        else:
            self._ill.pop(step.path, None)
        for target, (word, said) in zip(step.targets, words, strict=True):
            one = self._orders.get(target.key)
            if one is not None:
                one.under_way = False
                self._judge(one, step.path, word, said, now)

    def _judge(self, one: _Leaving, path: Path, word: CancelWord, said: str, now: int) -> None:
        place = self._places[one.target.market]
        if word in ("taken", "unknown", "soft"):  # no end yet: a look says so, and until then it is asked for again
            one.due = now + round(self.timing.soft_s * _NS * (4 if word == "taken" else 1))
            one.tried.clear()
            if not place.busy and word != "soft":
                soon = now + round(self.timing.look_s * _NS)
                place.look_due = soon if place.look_due is None else min(place.look_due, soon)
            return
        one.tried.append(path)
        if len(one.tried) < len(_PATHS):
            one.due = now
            return
        one.tried.clear()
        one.rounds += 1
        again_s = self.timing.again.delay_s(one.rounds)
        one.failed, one.due = again_s is None, self.timing.again.next_ns(one.rounds, now) or now
        self._tell("cancel_failed", order=one.target.key, symbol=one.target.symbol, why=said, again_s=again_s)

    def heard_gone(self, key: str, now: int, *, filled: bool = False) -> None:
        """Hear the stream tell the end of an order."""
        if key in self._orders:
            self._leave(key, counted=not filled, now=now)
        elif filled and key in self._gone:
            self._gone[key] = False

    def _fall_ill(self, path: Path, now: int) -> None:
        self._ill[path] = now + round(self.timing.ill_s * _NS)

    # ---- the end

    def _only_waits(self, now: int) -> bool:
        """Nothing is known to be open and every look found nothing: what is waited for is the end of `late_until`."""
        empty = all(place.zero or place.empty_at is not None for place in self._places.values())
        return empty and not self._orders and now < self._late_until() + round(self.timing.apart_s * _NS)

    def _raise_alarms(self, now: int) -> None:
        if self._only_waits(now):
            return
        while (
            self._alarms < len(self.timing.alarms_s) and now - self._began >= self.timing.alarms_s[self._alarms] * _NS
        ):
            self._alarm(now)

    def _alarm(self, now: int) -> None:
        self._alarms += 1
        self._tell(
            "cancel_all_alarm",
            step=self._alarms,
            open=sorted(self._orders),
            unproven=[" ".join(place.market) for place in self._places.values() if not place.zero],
            after_s=round((now - self._began) / _NS, 3),
        )

    def _conclude(self, now: int) -> None:
        if all(place.zero for place in self._places.values()):
            self._end("asked", now)
        elif self._is_told(now):
            self._end("told", now)
        elif now - self._began >= self.timing.give_up_s * _NS:
            if not self._alarms and self.timing.alarms_s:  # it only waited until now
                self._alarm(now)
            self._end("", now)

    def _is_told(self, now: int) -> bool:
        silent = self._asked_at is None and self._ill.get("rest", 0) > 0
        since = now - max(self._last_gone, self._late_until())
        return silent and not self._orders and since >= 0 and now - self._last_gone >= self.timing.told_s * _NS

    def _end(self, proof: Proof, now: int) -> None:
        unproven = () if proof else [" ".join(place.market) for place in self._places.values() if not place.zero]
        canceled = tuple(sorted(key for key, counted in self._gone.items() if counted))
        self.result = CancelAllResult(
            canceled_count=len(canceled),
            failed=tuple(sorted(self._orders)) or tuple(unproven),
            method=self._method,
            proof=proof,
            canceled=canceled,
            took_ns=now - self._began,
        )
        words = self.result
        self._tell(
            "cancel_all_done",
            canceled=words.canceled_count,
            failed=list(words.failed),
            method=words.method,
            proof=proof,
            took_s=round(words.took_ns / _NS, 3),
        )

    def _tell(self, event: str, **words: object) -> None:
        self.events.append({"event": event, "trigger": self.trigger, **words})
