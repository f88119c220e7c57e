"""The order gateway: it alone holds the key, and lets out only what limits allow that its engine cannot change.

GatewayLimits    what may leave: a file of its own
GatewayCore      the rules, without I/O
GuardedOrders    a session behind the rules
GatewayServer    the same for an engine in another process, over a socket of this machine
GatewayOrders    the engine's end of that socket: an `OrderEntry` like any other
"""

from mmbot.gateway.core import GatewayCore, Objection, Rule
from mmbot.gateway.limits import GatewayLimits, SymbolLimits, read_limits

__all__ = ["GatewayCore", "GatewayLimits", "Objection", "Rule", "SymbolLimits", "read_limits"]
