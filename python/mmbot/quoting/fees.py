"""What a fill costs before it earns anything: fee, rebate and the expected move against us.

For any model with fill intensity λ(δ) = A·e^(−κδ), a cost f per unit is exactly a change of variable δ' = δ − f:

    δ*(q; A, f) = f + δ*(q; A·e^(−κf), 0)

so a cost does not only widen the quote, it also thins the flow, and with it raises the inventory skew.
Forgetting the second half is the usual error.

A market order that moves the mid by ε in its own direction acts as a fee of ε (Cartea, Jaimungal, Penalva 2015,
section 10.4); an own fill that moves it by ξ acts as a fee of ξ/2 per side (Guéant, Lehalle, Fernandez-Tapia 2013,
section 5.2).
"""

import math

from mmbot.quoting.checked import finite

__all__ = ["break_even_half_spread", "intensity_after_fee"]

_EXPONENT_MAX = 700.0
"""e^709 is the largest power a float holds."""


def break_even_half_spread(*, maker_fee: float, adverse_markout: float, rebate: float = 0.0) -> float:
    """Return the smallest half-spread that pays for a maker fill: fee − rebate + expected adverse markout.

    All three in one unit (price per unit, or bps of notional). `adverse_markout` is the expected move of the mid
    against us after our fill, positive when it hurts. A negative result means that the rebate pays more than the
    markout costs. The result is also the `maker_fee` to hand to the models.

    Raises ValueError for a number that is not finite.
    """
    finite(maker_fee=maker_fee, adverse_markout=adverse_markout, rebate=rebate)
    return maker_fee - rebate + adverse_markout


def intensity_after_fee(intensity: float, *, kappa: float, fee: float) -> float:
    """Return A·e^(−κf): the fills per second left once depth is counted net of the cost `fee` per unit.

    Raises ValueError if `fee` is so far from the scale 1/`kappa` of the flow that the result leaves the floats;
    the cause is nearly always a fee in bps or as a rate where price units per unit were expected.
    """
    exponent = kappa * fee
    if not -_EXPONENT_MAX < exponent < _EXPONENT_MAX:
        raise ValueError(
            f"maker_fee (with adverse selection) is {fee!r} where fills decay over 1/kappa = {1.0 / kappa!r}; "
            "expected price units per unit, not bps or a rate"
        )
    return intensity * math.exp(-exponent)
