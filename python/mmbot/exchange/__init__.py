"""The exchange simulator: Bybit v5 over real sockets, on the matching of the core.

    tape | generator ─▶ Market (one instrument: Floor, tickers, klines) ─▶ publisher ─▶ public sockets
                                  ▲                                    └▶ fills     ─▶ accounts ─▶ private sockets
    REST, /v5/trade ─▶ accounts ──┘

What it promises and what it does not model is in `docs/exchange.md`; every inferred behaviour is a switch in
`mmbot.exchange.switches`.
"""
