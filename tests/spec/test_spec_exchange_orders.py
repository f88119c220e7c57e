"""Executes exchange_orders.md."""

import re
from pathlib import Path

import pytest
from spec_tables import Table, tables

from mmbot.exchange import rules
from mmbot.exchange.account import Account
from mmbot.exchange.desk import Desk
from mmbot.exchange.house import House
from mmbot.exchange.market import Market
from mmbot.exchange.money import units
from mmbot.exchange.refusals import RefusedError
from mmbot.exchange.switches import Switches

TABLES = list(tables(Path(__file__).with_name("exchange_orders.md")))
TERMS = {"min_order_qty": "1", "max_order_qty": "100", "max_market_qty": "50", "min_price": "1", "max_price": "100000"}
FEES = ("0.001", "0.002")
MAKERS = {
    "linear": rules.linear("BTC", "1", "1", fees=FEES),
    "inverse": rules.inverse("BTC", "1", fees=FEES),
    "spot": rules.spot("BTC", "1", "1", fees=FEES),
}
ORDER = re.compile(r"(buy|sell) (\d+@\d+|\d+)((?: \w+)*)")
NAMES = {"ann": 1001, "bob": 1002}


class Listener:
    """Writes down what an account hears."""

    def __init__(self, room: "Room", name: str) -> None:
        self.room, self.name = room, name

    def push(self, kind, topic, rows):
        """One message."""
        for row in rows:
            say = self._order if kind == "order" else self._execution
            self.room.heard.append(f"{self.name} {say(row)}")

    def _order(self, row) -> str:
        why = [row["cancelType"], row["rejectReason"]]
        why = [word for word in why if word not in ("UNKNOWN", "EC_NoError", "EC_PerCancelRequest", "EC_BySelfMatch")]
        name = self.room.link_ids.get(row["orderId"], "?")
        return " ".join([name, row["orderStatus"], f"{row['cumExecQty']}/{row['qty']}@{row['price']}", *why])

    def _execution(self, row) -> str:
        name = self.room.link_ids.get(row["orderId"], "?")
        return f"{name} {row['execQty']}@{row['execPrice']} {'maker' if row['isMaker'] else 'taker'}"


class Room:
    """One market, two accounts, and what they say and hear."""

    def __init__(self, category: str) -> None:
        self.category = category
        self.now_ns = 1_700_000_000_000_000_000
        terms = MAKERS[category].model_copy(update=TERMS)
        self.market = Market(terms, clock=lambda: self.now_ns)
        self.symbol = terms.symbol
        accounts = {name: Account(uid) for name, uid in NAMES.items()}
        self.accounts = accounts
        self.house = House([self.market], accounts.values(), switches=Switches(amend_across="kill"))
        self.desk = Desk(self.house)
        self.heard: list[str] = []
        self.link_ids: dict[str, str] = {}
        for name, account in accounts.items():
            account.wallet.transfer("USDT", units("100000"), 0)
            account.wallet.transfer("BTC", units("1000"), 0)
            for kind in ("order", "execution"):
                account.listen(kind, [category], Listener(self, name), kind)

    def happen(self, text: str) -> str:
        """One row: returns "ok", a code, or "" where nobody is answered."""
        self.heard.clear()
        self.now_ns += 10_000_000
        who, _, what = text.partition(": ")
        if who in NAMES:
            try:
                self.request(self.accounts[who], what)
            except RefusedError as error:
                return str(error.code)
            return "ok"
        self.public(text)
        return ""

    def request(self, account: Account, what: str) -> None:
        """Send one order request; the streams learn the client's name of the order from it."""
        body = {"category": self.category, "symbol": self.symbol}
        match what.split():
            case ["cancel", "all"]:
                self.desk.cancel_all(account, body)
            case ["cancel", name]:
                self.desk.cancel(account, {**body, "orderLinkId": name})
            case ["amend", name, *changes]:
                fields = dict(change.split("=") for change in changes)
                self.desk.amend(account, {**body, "orderLinkId": name, **fields})
            case [name, *_]:
                self.create(account, name, what.removeprefix(f"{name} "), body)

    def create(self, account: Account, name: str, what: str, body: dict[str, str]) -> None:
        """Send one new order."""
        side, size, words = ORDER.fullmatch(what).groups()
        flags = set(words.split())
        qty, _, price = size.partition("@")
        order = {**body, "side": side.capitalize(), "qty": qty, "orderLinkId": name}
        order |= {"orderType": "Limit", "price": price} if price else {"orderType": "Market", "marketUnit": "baseCoin"}
        tifs = {"post": "PostOnly", "ioc": "IOC", "fok": "FOK"}
        order["timeInForce"] = next((tifs[flag] for flag in flags if flag in tifs), "GTC")
        order["reduceOnly"] = "reduce" in flags
        order["smpType"] = next((flag for flag in flags if flag.startswith("Cancel")), "None")
        number = self.house.ids._orders + 1
        spot = self.category == "spot"
        order_id = str(1_900_000_000_000_000_000 + 2 * number) if spot else self.house.ids._uuid(number)
        self.link_ids[order_id] = name
        self.desk.create(account, order)

    def public(self, text: str) -> None:
        """The public's side: a book, or a trade."""
        kind, _, rest = text.partition(" ")
        if kind == "book":
            sides = [[level.split("@") for level in side.split()] for side in rest.split("/")]
            bids, asks = ([(int(tick), int(lots)) for lots, tick in side] for side in sides)
            self.market.public_depth("snapshot", bids, asks, self.now_ns)
        elif kind in ("sold", "bought"):
            lots, tick = map(int, rest.split("@"))
            self.market.public_trade("sell" if kind == "sold" else "buy", tick, lots, self.now_ns)
        else:
            raise ValueError(f"exchange_orders.md: no such event: {text!r}")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_the_venue_answers_and_tells_as_the_table_says(table: Table) -> None:
    """Row by row: the answer to the request, and what both accounts hear afterwards."""
    category = table.title.partition(":")[0].lower()
    room = Room(category if category in MAKERS else "linear")
    untouched = room.house.totals()[1]
    for row in table.rows:
        answer = room.happen(row["what happens"])
        where = f"exchange_orders.md, {table.title}: {row['what happens']}"
        assert answer == row["answer"], where
        assert "; ".join(room.heard) == row["the streams say"], where
        room.market.floor.check_invariants()
    assert room.house.totals()[1] == untouched
