//! What can be asked for, and how it is written in a configuration: `realised_volatility(window=60s, sample=1s)`.

use std::fmt;
use std::str::FromStr;

use mmbot_types::Nanos;
use thiserror::Error;

use crate::BarField;

/// One measure that a strategy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalSpec {
    /// Size-weighted mid, in ticks.
    Microprice,
    /// Queue imbalance at the touch, −1 to 1.
    Imbalance,
    /// Order-flow imbalance at the touch, in lots, each change counting half after a half-life.
    OrderFlowImbalance {
        /// After which a change counts half.
        half_life: Nanos,
    },
    /// Bought minus sold lots of public trades, by aggressor, each counting half after a half-life.
    TradeFlow {
        /// After which a trade counts half.
        half_life: Nanos,
    },
    /// Volatility of the log mid per √second, exponentially averaged over time.
    EwmaVolatility {
        /// After which an observation counts half.
        half_life: Nanos,
        /// Least time between two prices.
        sample: Nanos,
    },
    /// Volatility of the log mid per √second over a window: √(Σr² / elapsed).
    RealisedVolatility {
        /// How far back.
        window: Nanos,
        /// Least time between two prices.
        sample: Nanos,
    },
    /// As realised volatility, with the bounce of the touch taken out by two time scales.
    TwoScaleVolatility {
        /// How far back.
        window: Nanos,
        /// Least time between two prices of the fast scale.
        sample: Nanos,
        /// Fast steps per slow step, at least 2.
        subsamples: u32,
    },
    /// One number of the last finished bar of trades.
    Bar {
        /// Length of the bar.
        interval: Nanos,
        /// Which number.
        field: BarField,
    },
}

/// Why a text names no measure.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// Not `name` or `name(key=value, ...)`.
    #[error(r#""{0}" is not written as name or name(key=value, ...)"#)]
    Form(String),
    /// No such measure.
    #[error(
        r#""{0}" is no signal; expected one of microprice, imbalance, order_flow_imbalance, trade_flow, ewma_volatility, realised_volatility, two_scale_volatility, bar_open, bar_high, bar_low, bar_close, bar_volume"#
    )]
    Name(String),
    /// The measure takes other arguments.
    #[error(r#""{text}" must be written with ({expected})"#)]
    Arguments {
        /// As given.
        text: String,
        /// Names of the arguments it takes, in order.
        expected: String,
    },
    /// A time span or count that cannot be read.
    #[error(r#""{value}" is not {expected}"#)]
    Value {
        /// As given.
        value: String,
        /// What it should have been.
        expected: &'static str,
    },
}

/// Units of time spans, largest first.
const UNITS: [(&str, i64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const FIELDS: [(&str, BarField); 5] = [
    ("bar_open", BarField::Open),
    ("bar_high", BarField::High),
    ("bar_low", BarField::Low),
    ("bar_close", BarField::Close),
    ("bar_volume", BarField::Volume),
];

fn read_span(value: &str) -> Result<Nanos, SpecError> {
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = value.split_at(digits);
    let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    let span = scale.zip(count.parse::<i64>().ok()).and_then(|(scale, count)| count.checked_mul(scale));
    let expected = "a time span such as 250ms, 1s or 5m";
    span.map(Nanos).ok_or_else(|| SpecError::Value { value: value.into(), expected })
}

fn show_span(span: Nanos) -> String {
    let fits = UNITS.iter().find(|(_, scale)| span.0 % scale == 0).unwrap_or(&UNITS[UNITS.len() - 1]);
    format!("{}{}", span.0 / fits.1, fits.0)
}

/// The values of exactly the arguments named, in that order.
fn read_arguments<'a, const N: usize>(text: &str, given: &'a str, names: [&str; N]) -> Result<[&'a str; N], SpecError> {
    let wrong =
        || SpecError::Arguments { text: text.into(), expected: names.map(|name| format!("{name}=")).join(", ") };
    let mut values = [""; N];
    let mut pairs = given.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    for (value, name) in values.iter_mut().zip(names) {
        let (key, given) = pairs.next().and_then(|pair| pair.split_once('=')).ok_or_else(wrong)?;
        if key.trim() != name {
            return Err(wrong());
        }
        *value = given.trim();
    }
    if pairs.next().is_some() { Err(wrong()) } else { Ok(values) }
}

impl FromStr for SignalSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let form = || SpecError::Form(text.into());
        let (name, given) = match text.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.trim_end().strip_suffix(')').ok_or_else(form)?),
            None => (text.trim(), ""),
        };
        let spans = |names| -> Result<[Nanos; 2], SpecError> {
            let [first, second] = read_arguments(text, given, names)?;
            Ok([read_span(first)?, read_span(second)?])
        };
        let span = |name| read_span(read_arguments(text, given, [name])?[0]);
        Ok(match name {
            "microprice" => read_arguments(text, given, []).map(|[]| Self::Microprice)?,
            "imbalance" => read_arguments(text, given, []).map(|[]| Self::Imbalance)?,
            "order_flow_imbalance" => Self::OrderFlowImbalance { half_life: span("half_life")? },
            "trade_flow" => Self::TradeFlow { half_life: span("half_life")? },
            "ewma_volatility" => {
                let [half_life, sample] = spans(["half_life", "sample"])?;
                Self::EwmaVolatility { half_life, sample }
            }
            "realised_volatility" => {
                let [window, sample] = spans(["window", "sample"])?;
                Self::RealisedVolatility { window, sample }
            }
            "two_scale_volatility" => {
                let [window, sample, count] = read_arguments(text, given, ["window", "sample", "subsamples"])?;
                let expected = "a whole number";
                let subsamples = count.parse().map_err(|_| SpecError::Value { value: count.into(), expected })?;
                Self::TwoScaleVolatility { window: read_span(window)?, sample: read_span(sample)?, subsamples }
            }
            _ => {
                let field = FIELDS.iter().find(|(known, _)| *known == name);
                let (_, field) = field.ok_or_else(|| SpecError::Name(name.into()))?;
                Self::Bar { interval: span("interval")?, field: *field }
            }
        })
    }
}

impl fmt::Display for SignalSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Microprice => write!(f, "microprice"),
            Self::Imbalance => write!(f, "imbalance"),
            Self::OrderFlowImbalance { half_life } => {
                write!(f, "order_flow_imbalance(half_life={})", show_span(half_life))
            }
            Self::TradeFlow { half_life } => write!(f, "trade_flow(half_life={})", show_span(half_life)),
            Self::EwmaVolatility { half_life, sample } => {
                write!(f, "ewma_volatility(half_life={}, sample={})", show_span(half_life), show_span(sample))
            }
            Self::RealisedVolatility { window, sample } => {
                write!(f, "realised_volatility(window={}, sample={})", show_span(window), show_span(sample))
            }
            Self::TwoScaleVolatility { window, sample, subsamples } => {
                let (window, sample) = (show_span(window), show_span(sample));
                write!(f, "two_scale_volatility(window={window}, sample={sample}, subsamples={subsamples})")
            }
            Self::Bar { interval, field } => {
                let name = FIELDS.iter().find(|(_, known)| *known == field).map_or("bar", |(name, _)| *name);
                write!(f, "{name}(interval={})", show_span(interval))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn specs() -> impl Strategy<Value = SignalSpec> {
        let span = || (0i64..i64::MAX / 4).prop_map(Nanos);
        prop_oneof![
            Just(SignalSpec::Microprice),
            Just(SignalSpec::Imbalance),
            span().prop_map(|half_life| SignalSpec::OrderFlowImbalance { half_life }),
            span().prop_map(|half_life| SignalSpec::TradeFlow { half_life }),
            (span(), span()).prop_map(|(half_life, sample)| SignalSpec::EwmaVolatility { half_life, sample }),
            (span(), span()).prop_map(|(window, sample)| SignalSpec::RealisedVolatility { window, sample }),
            (span(), span(), any::<u32>()).prop_map(|(window, sample, subsamples)| SignalSpec::TwoScaleVolatility {
                window,
                sample,
                subsamples
            }),
            (span(), 0usize..5).prop_map(|(interval, i)| SignalSpec::Bar { interval, field: FIELDS[i].1 }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(spec in specs()) {
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }
    }

    #[test]
    fn spans_read_as_people_write_them() {
        let read: SignalSpec = " two_scale_volatility( window=5m, sample = 250ms, subsamples=20 ) ".parse().unwrap();
        assert_eq!(read.to_string(), "two_scale_volatility(window=5m, sample=250ms, subsamples=20)");
        assert_eq!("bar_close(interval=3600s)".parse::<SignalSpec>().unwrap().to_string(), "bar_close(interval=1h)");
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (text, words) in [
            ("vola(window=1s)", "\"vola\" is no signal; expected one of microprice"),
            ("microprice(window=1s)", "must be written with ()"),
            ("imbalance(", "is not written as name or name(key=value, ...)"),
            ("realised_volatility(window=1s)", "must be written with (window=, sample=)"),
            ("realised_volatility(sample=1s, window=1s)", "must be written with (window=, sample=)"),
            ("trade_flow(half_life=1.5s)", "\"1.5s\" is not a time span such as 250ms"),
            ("trade_flow(half_life=99999999999h)", "is not a time span"),
            ("two_scale_volatility(window=1s, sample=1ms, subsamples=two)", "\"two\" is not a whole number"),
        ] {
            let said = text.parse::<SignalSpec>().unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
