//! The formulas, one market moment at a time: what the incremental signals and the Python face both call.

/// Size-weighted mid: `(bid·ask_size + ask·bid_size) / (bid_size + ask_size)`, in the unit of the prices. NaN for an
/// empty touch.
#[must_use]
pub fn microprice(bid: f64, bid_size: f64, ask: f64, ask_size: f64) -> f64 {
    (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
}

/// Queue imbalance `(bid_size − ask_size) / (bid_size + ask_size)`, −1 to 1. NaN for an empty touch.
#[must_use]
pub fn imbalance(bid_size: f64, ask_size: f64) -> f64 {
    (bid_size - ask_size) / (bid_size + ask_size)
}

/// Best prices and sizes, in whatever unit compares: ticks in the engine, floats in research.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best<P> {
    /// Best bid.
    pub bid: P,
    /// Size at it.
    pub bid_size: f64,
    /// Best ask.
    pub ask: P,
    /// Size at it.
    pub ask_size: f64,
}

/// What one change of the touch adds to order-flow imbalance (Cont, Kukanov and Stoikov 2014, eq. 3), in the unit of
/// the sizes.
///
/// Demand that arrives at the bid or leaves the ask is positive.
#[must_use]
pub fn order_flow<P: PartialOrd>(before: &Best<P>, after: &Best<P>) -> f64 {
    let mut flow = 0.0;
    if after.bid >= before.bid {
        flow += after.bid_size;
    }
    if after.bid <= before.bid {
        flow -= before.bid_size;
    }
    if after.ask <= before.ask {
        flow -= after.ask_size;
    }
    if after.ask >= before.ask {
        flow += before.ask_size;
    }
    flow
}

/// Realised variance: the sum of squared returns of `steps` samples, all overlapping ones. Zero when there is none.
///
/// # Panics
/// If `steps` is zero.
#[must_use]
pub fn realised_variance(log_prices: &[f64], steps: usize) -> f64 {
    assert!(steps > 0, "a return spans at least one step");
    let (starts, ends) = (log_prices.iter(), log_prices.iter().skip(steps));
    starts.zip(ends).map(|(start, end)| (end - start) * (end - start)).sum()
}

/// Two-scale realised variance (Zhang, Mykland and Aït-Sahalia 2005) from its two sums of squares.
///
/// `squares_all` runs over the `returns` consecutive returns, `squares_sub` over all overlapping returns of
/// `subsamples` steps.
/// `adjusted` divides by the small-sample factor. NaN when there are too few returns for the factor to be positive.
#[must_use]
pub fn two_scale_variance(
    squares_all: f64,
    squares_sub: f64,
    returns: usize,
    subsamples: usize,
    adjusted: bool,
) -> f64 {
    let (n, k) = (returns as f64, subsamples as f64);
    let share = (n - k + 1.0) / (k * n);
    if returns < subsamples || share >= 1.0 {
        return f64::NAN;
    }
    let variance = squares_sub / k - share * squares_all;
    if adjusted { variance / (1.0 - share) } else { variance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence_of_touches_gives_the_published_order_flow() {
        let touches = [
            (1000, 10, 1001, 12),
            (1000, 14, 1001, 12),
            (1000, 9, 1001, 12),
            (1000, 9, 1001, 5),
            (1001, 4, 1002, 8),
            (1001, 4, 1002, 3),
            (1000, 20, 1002, 3),
            (1000, 20, 1001, 7),
            (999, 6, 1001, 7),
        ]
        .map(|(bid, bid_size, ask, ask_size)| Best {
            bid,
            bid_size: f64::from(bid_size),
            ask,
            ask_size: f64::from(ask_size),
        });
        let flows: Vec<f64> = touches.windows(2).map(|pair| order_flow(&pair[0], &pair[1])).collect();
        assert_eq!(flows, [4.0, -5.0, 7.0, 9.0, 5.0, -4.0, -7.0, -20.0]);
    }

    #[test]
    fn the_microprice_leans_to_the_thin_side() {
        assert_eq!(microprice(100.0, 30.0, 101.0, 10.0), 100.75);
        assert_eq!(imbalance(30.0, 10.0), 0.5);
        assert!(microprice(100.0, 0.0, 101.0, 0.0).is_nan());
    }

    #[test]
    fn the_two_scale_variance_matches_the_worked_sums() {
        let plain = two_scale_variance(85.0, 129.0, 12, 3, false);
        let adjusted = two_scale_variance(85.0, 129.0, 12, 3, true);
        assert!((plain - 19.388_888_888_888_89).abs() < 1e-12);
        assert!((adjusted - 26.846_153_846_153_847).abs() < 1e-12);
        assert!(two_scale_variance(1.0, 1.0, 2, 3, false).is_nan());
    }
}
