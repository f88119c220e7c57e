"""Quoting models: pure functions of numbers, without a clock, a socket or a venue.

where to quote      avellaneda_stoikov · glft · cartea_jaimungal, fed by fit_intensity
what it must earn   break_even_half_spread
without a model     AdaptiveSpread · inventory_skew
as orders           compute_repriced_levels · ladder · clamp_bps
"""

from mmbot.quoting.avellaneda_stoikov import avellaneda_stoikov
from mmbot.quoting.calibration import Intensity, fit_intensity
from mmbot.quoting.cartea_jaimungal import cartea_jaimungal, cartea_jaimungal_value
from mmbot.quoting.fees import break_even_half_spread
from mmbot.quoting.glft import glft, glft_table
from mmbot.quoting.inventory_chain import DepthTable
from mmbot.quoting.ladder import Ladder, LadderLevel, ladder
from mmbot.quoting.quote import Depths, Quote
from mmbot.quoting.repricer import (
    BidAskInvariantError,
    RepricedLevel,
    RepricedLevels,
    WorkingLevel,
    check_bid_below_ask,
    compute_repriced_levels,
)
from mmbot.quoting.rounding import clamp_bps
from mmbot.quoting.skew import inventory_skew, skew_quote
from mmbot.quoting.spread import AdaptiveSpread, SpreadMeasurements, SpreadState

__all__ = [
    "AdaptiveSpread",
    "BidAskInvariantError",
    "DepthTable",
    "Depths",
    "Intensity",
    "Ladder",
    "LadderLevel",
    "Quote",
    "RepricedLevel",
    "RepricedLevels",
    "SpreadMeasurements",
    "SpreadState",
    "WorkingLevel",
    "avellaneda_stoikov",
    "break_even_half_spread",
    "cartea_jaimungal",
    "cartea_jaimungal_value",
    "check_bid_below_ask",
    "clamp_bps",
    "compute_repriced_levels",
    "fit_intensity",
    "glft",
    "glft_table",
    "inventory_skew",
    "ladder",
    "skew_quote",
]
