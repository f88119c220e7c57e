"""A malicious engine over a venue that answers late, loses answers and fills: judged by the venue's own truth."""

import asyncio
from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from gateway_scene import MARKET, T0, WALL, Ear, limits
from msgspec import structs
from test_gateway_socket import TERMS

from mmbot.gateway import wire
from mmbot.gateway.core import GatewayCore
from mmbot.gateway.guarded import GuardedOrders
from mmbot.venues.fake import FakeVenue
from mmbot.venues.port import AmendOrder, CancelOrder, OrderRequest, PlaceOrder

COLLAR, ORDER, POSITION = Decimal("0.01"), Decimal(1), Decimal(2)


class Truth(FakeVenue):
    """The venue, which says what its orders and position could still come to."""

    holds = True
    """Reduce-only orders open no position here; on spot they do."""

    def send(self, requests: Any) -> None:
        """Act on what it trades; anything else is a cancel, which never fails anybody."""
        known = [one for one in requests if one.symbol == MARKET[1]]
        assert all(isinstance(one, CancelOrder) for one in requests if one not in known)
        super().send(known)

    def worst(self) -> tuple[Decimal, Decimal]:
        """How long and how short the position could become."""
        held = self._markets[MARKET[1]].position.qty
        left = {True: Decimal(0), False: Decimal(0)}
        for order in self._orders.values():
            if not (order.request.reduce_only and self.holds):
                left[order.buys] += order.leaves
        return held + left[True], left[False] - held


class Attack:
    """Random requests, of which most break some limit, and a venue that makes life hard."""

    def __init__(self, seed: int, category: str = "linear") -> None:
        self.market = (category, MARKET[1])
        self.random, self.now, self.names = Random(seed), T0, 0
        self.core = GatewayCore(
            limits(requests_per_second=10_000, requests_per_minute=600_000, symbol={"category": category})
        )
        self.guard = GuardedOrders(self.core, Ear(), steady=lambda: self.now, wall=lambda: WALL + self.now - T0)
        self.venue = Truth([structs.replace(TERMS, category=category, kind=category)], self.guard, lambda: self.now)
        self.venue.holds = category != "spot"
        self.guard.attach(self.venue, None)
        self.sent: Counter[str] = Counter()
        self.mid = Decimal(100)
        self.bias = "buy"

    async def run(self, requests: int) -> None:
        """Attack, and look at the truth after every step."""
        self.core.engage(1)
        self.venue.restore_links()
        await self.guard._look(self.market)
        for _ in range(requests // 5):
            self.now += self.random.randrange(20_000_000)
            self._market()
            decided = self.now - self.random.choice([0] * 16 + [240_000_000, 260_000_000])
            epoch = self.random.choice([1] * 20 + [0, 2])
            requests_ = self._raw([self._request() for _ in range(5)])
            before = {name: (order.price, order.qty) for name, order in self.venue._orders.items()}
            self.guard.pass_on(requests_, decided, epoch)
            self._judge(before)
            await self._venue()

    def _market(self) -> None:
        if self.random.random() < 0.02:
            self.bias = "sell" if self.bias == "buy" else "buy"
        step = Decimal(self.random.choice(["-0.1", "0", "0.1"]))
        self.mid = min(max(self.mid + step, Decimal(95)), Decimal(105))
        bid, ask = str(self.mid - Decimal("0.1")), str(self.mid + Decimal("0.1"))
        self.core.refer(self.market, "touch", bid, ask, self.now)
        self.venue.touch(MARKET[1], bid, ask)

    def _request(self) -> OrderRequest:
        random = self.random
        kind = random.random()
        resting = [name for name, order in self.venue._orders.items() if order.leaves]
        if kind < 0.35 and resting:
            name = random.choice(resting)
        elif random.random() < 0.05:  # an old name
            name = f"mm-{random.randrange(self.names + 1)}"
        else:
            self.names += 1
            name = f"mm-{self.names}"
        where = {
            "category": random.choice([self.market[0]] * 19 + ["inverse"]),
            "symbol": random.choice(["BTCUSDT"] * 19 + ["X"]),
        }
        price = str(
            (
                self.mid
                * Decimal(
                    random.choice(["0.985", "0.995", "0.997", "0.999", "1", "1.001", "1.003", "1.005", "1.015", "9"])
                )
            ).quantize(Decimal("0.1"))
        )
        qty = random.choice(["0.2", "0.3", "0.7", "0.9", "1", "1", "1", "1.001", "50", "NaN"])
        if kind < 0.05:
            return CancelOrder(client_id=name, **where)
        if kind < 0.35:
            new = {"price": random.choice([None, price]), "qty": random.choice([None, qty])}
            return AmendOrder(client_id=name, **new, **where)
        return PlaceOrder(
            client_id=name,
            side=self.bias if random.random() < 0.85 else random.choice(["buy", "sell"]),
            price=price,
            qty=qty,
            post_only=random.random() < 0.8,
            reduce_only=random.random() < (0.1 if self.venue.holds else 0.5),
            tif=random.choice(["gtc", "ioc"]),
            **where,
        )

    def _raw(self, requests: list[OrderRequest]) -> list[OrderRequest]:
        """As they come off the socket; now and then with bytes changed, so that some do not come at all."""
        body = bytearray(
            wire.encode(wire.Send(seq=1, epoch=1, requests=wire.pack(requests), decided=self.now))[4:],
        )
        if self.random.random() < 0.3:
            for _ in range(self.random.randrange(1, 4)):
                body[self.random.randrange(len(body))] = self.random.randrange(256)
        try:
            message = wire.decode_from_engine(bytes(body))
            read = wire.requests_of(message.requests) if isinstance(message, wire.Send) else []
        except wire.GatewayWireError:
            self.sent["malformed"] += 1
            return []
        self.sent["requests"] += len(read)
        return read

    def _judge(self, before: dict[str, Any]) -> None:
        for name, order in self.venue._orders.items():
            if before.get(name) == (order.price, order.qty):
                continue
            self.sent["accepted"] += name not in before
            assert abs(order.price - self.mid) <= self.mid * COLLAR, order
            assert order.qty <= ORDER, order
            assert order.price * order.qty <= 200, order
            closes = order.request.reduce_only and order.request.tif != "gtc"
            assert order.request.post_only or closes, order
        assert max(self.venue.worst()) <= POSITION, self.venue.worst()

    async def _venue(self) -> None:
        """Facts come late and in part; answers are lost; orders die; the gateway looks now and then."""
        if self.random.random() < 0.3:
            self.venue.lose(self.random.choice(["place", "amend", "cancel"]), reached=self.random.random() < 0.5)
        if self.random.random() < 0.3:
            resting = [name for name, order in self.venue._orders.items() if order.leaves]
            if resting:
                self.venue.kill(self.random.choice(resting))
        if self.random.random() < 0.4:
            side = self.random.choice(["buy", "sell"])
            price = self.mid * (Decimal("1.01") if side == "buy" else Decimal("0.99"))
            self.venue.trade(
                MARKET[1], side, str(price.quantize(Decimal("0.1"))), self.random.choice(["0.2", "0.4", "0.6"])
            )
        if self.random.random() < 0.5:
            self.random.shuffle(self.venue.outbox)
        if self.random.random() < 0.8:
            self.venue.deliver(self.random.randrange(9))
        if self.random.random() < 0.05:
            self.now += 6_000_000_000
            self._market()
            self.venue.deliver()
            await self.guard._look(self.market)
        assert max(self.venue.worst()) <= POSITION, self.venue.worst()
        await asyncio.sleep(0)  # refusals are told


@pytest.mark.parametrize("category", ["linear", "spot"])
@pytest.mark.parametrize("seed", range(4))
def test_by_the_venues_truth_nothing_gets_past_the_limits(seed: int, category: str):
    """Three thousand hostile requests a seed, typed and with bytes changed: 0 outside collar, size and position.

    On spot half of them say that they only reduce, which is nothing to that venue.
    """
    attack = Attack(seed, category)
    asyncio.run(attack.run(3_000))
    assert attack.sent["accepted"] > 60
    assert attack.sent["malformed"] > 10


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_by_the_venues_truth_nothing_gets_past_the_limits_in_a_hundred_thousand():
    """The same with a hundred thousand requests, in ten lives of the venue."""
    total: Counter[str] = Counter()
    for seed in range(100, 110):
        attack = Attack(seed)
        asyncio.run(attack.run(14_000))
        total += attack.sent
    assert total["requests"] >= 100_000
    assert total["accepted"] > 3_000
