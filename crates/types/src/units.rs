//! Units as types, and the only place where a decimal string becomes a whole number.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use serde::{Deserialize, Serialize};
use thiserror::Error;

macro_rules! whole_unit {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl $name {
            /// Nothing of it.
            pub const ZERO: Self = Self(0);

            /// The distance from zero.
            #[must_use]
            pub const fn abs(self) -> Self {
                Self(self.0.abs())
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Neg for $name {
            type Output = Self;
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                self.0 -= other.0;
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self::ZERO, Add::add)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

whole_unit! {
    /// A price as a whole number of the instrument's minimum price steps.
    Ticks(i64)
}
whole_unit! {
    /// A quantity as a whole number of the instrument's minimum size steps. Signed: a position is also lots.
    Lots(i64)
}
whole_unit! {
    /// Nanoseconds since the Unix epoch, or a span of them.
    Nanos(i64)
}
whole_unit! {
    /// Money: a whole number of 10^-[`CASH_SCALE`] of one currency. The currency is the account's that holds it.
    Cash(i128)
}

/// Decimal places of [`Cash`]. Twelve make the notional of every listed linear contract exact;
/// what is not exact (an inverse contract's value, a fee) is rounded half to even, once, when it is posted.
pub const CASH_SCALE: u32 = 12;

/// The side of an order or of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Side {
    /// Buy: its orders rest as bids.
    Buy,
    /// Sell: its orders rest as asks.
    Sell,
}

impl Side {
    /// +1 for a buy, −1 for a sell.
    #[must_use]
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }

    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// A minimum step (tick size, lot size, contract value) as an exact decimal: `mantissa × 10^-scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Step {
    /// Always positive.
    pub mantissa: i64,
    /// Decimal places, 0 to 18.
    pub scale: u32,
}

/// Why a decimal string is not a whole number of steps.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StepError {
    /// Not a plain decimal number: NaN, infinity, an exponent, an empty string, other letters.
    #[error("{0:?} is not a plain decimal number")]
    NotDecimal(String),
    /// More digits than a 64-bit whole number of steps can carry.
    #[error("{0:?} is too large")]
    TooLarge(String),
    /// Between two steps: it would have to be rounded, and the wire never rounds.
    #[error("{value:?} is not a whole multiple of the step {step}")]
    OffGrid {
        /// The text as received.
        value: String,
        /// The step it was compared with.
        step: Step,
    },
    /// A step must be positive.
    #[error("a step must be positive, got {0:?}")]
    NotPositive(String),
}

const POW10: [i64; 19] = {
    let mut table = [1i64; 19];
    let mut i = 1;
    while i < 19 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// Reads `[-+]digits[.digits]` as (whole number, decimal places), without trailing zeros after the point.
fn parse_decimal(text: &str) -> Result<(i64, u32), StepError> {
    let bytes = text.as_bytes();
    let (negative, digits) = match bytes.first() {
        Some(b'-') => (true, &bytes[1..]),
        Some(b'+') => (false, &bytes[1..]),
        _ => (false, bytes),
    };
    let (mut value, mut scale, mut zeros) = (0i64, 0u32, 0u32);
    let (mut seen_digit, mut seen_point) = (false, false);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                seen_digit = true;
                if seen_point && byte == b'0' {
                    zeros += 1; // kept back: trailing zeros carry no information
                    continue;
                }
                if seen_point {
                    scale += zeros + 1;
                }
                let shift = POW10.get(zeros as usize + 1).copied();
                value = shift
                    .and_then(|shift| value.checked_mul(shift))
                    .and_then(|shifted| shifted.checked_add(i64::from(byte - b'0')))
                    .ok_or_else(|| StepError::TooLarge(text.to_owned()))?;
                zeros = 0;
            }
            b'.' if !seen_point => seen_point = true,
            _ => return Err(StepError::NotDecimal(text.to_owned())),
        }
    }
    if !seen_digit {
        return Err(StepError::NotDecimal(text.to_owned()));
    }
    Ok((if negative { -value } else { value }, scale))
}

impl Step {
    /// Reads a positive decimal such as `"0.10"`.
    ///
    /// # Errors
    /// [`StepError`] when the text is no plain decimal, is zero or negative, or has over 18 decimal places.
    pub fn parse(text: &str) -> Result<Self, StepError> {
        let (mantissa, scale) = parse_decimal(text)?;
        if mantissa <= 0 {
            return Err(StepError::NotPositive(text.to_owned()));
        }
        if scale > 18 {
            return Err(StepError::TooLarge(text.to_owned()));
        }
        Ok(Self { mantissa, scale })
    }

    /// How many whole steps a decimal string is, exactly.
    ///
    /// # Errors
    /// [`StepError`] when it is no plain decimal, lies between two steps, or does not fit.
    pub fn count(&self, text: &str) -> Result<i64, StepError> {
        i64::try_from(self.count_wide(text)?).map_err(|_| StepError::TooLarge(text.to_owned()))
    }

    /// As [`Self::count`], for what needs more than 64 bits: a sum of money in small units.
    ///
    /// # Errors
    /// [`StepError`] when it is no plain decimal, lies between two steps, or has more than 18 digits.
    pub fn count_wide(&self, text: &str) -> Result<i128, StepError> {
        let (value, scale) = parse_decimal(text)?;
        let (value, mantissa) = if scale <= self.scale {
            let up = i128::from(POW10[(self.scale - scale) as usize]);
            (i128::from(value) * up, i128::from(self.mantissa))
        } else if scale - self.scale <= 18 {
            let up = i128::from(POW10[(scale - self.scale) as usize]);
            (i128::from(value), i128::from(self.mantissa) * up)
        } else {
            return Err(StepError::OffGrid { value: text.to_owned(), step: *self });
        };
        if value % mantissa != 0 {
            return Err(StepError::OffGrid { value: text.to_owned(), step: *self });
        }
        Ok(value / mantissa)
    }

    /// The exact decimal text of `count` steps.
    #[must_use]
    pub fn text(&self, count: i64) -> String {
        let value = i128::from(count) * i128::from(self.mantissa);
        let scale = self.scale as usize;
        let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if value < 0 { "-" } else { "" };
        if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }

    /// The nearest float, for signals and display.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        self.mantissa as f64 / POW10[self.scale as usize] as f64
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_strings_become_whole_steps_exactly() {
        let tick = Step::parse("0.10").unwrap();
        assert_eq!(tick, Step { mantissa: 1, scale: 1 });
        assert_eq!(tick.count("61659.70").unwrap(), 616_597);
        assert_eq!(tick.count("-0.1").unwrap(), -1);
        assert_eq!(tick.text(616_597), "61659.7");
        let half = Step::parse("0.5").unwrap();
        assert_eq!(half.count("1.50000").unwrap(), 3);
        assert_eq!(half.text(-3), "-1.5");
        let unit = Step { mantissa: 1, scale: CASH_SCALE };
        assert_eq!(unit.count_wide("15000000").unwrap(), 15_000_000 * 10i128.pow(CASH_SCALE));
        assert!(matches!(unit.count("15000000"), Err(StepError::TooLarge(_))));
    }

    #[test]
    fn what_would_need_rounding_is_refused() {
        let tick = Step::parse("0.1").unwrap();
        assert!(matches!(tick.count("1.05"), Err(StepError::OffGrid { .. })));
        for bad in ["", "-", ".", "NaN", "inf", "1e5", "1.2.3", " 1"] {
            assert!(matches!(tick.count(bad), Err(StepError::NotDecimal(_))), "{bad:?}");
        }
        assert!(matches!(tick.count("99999999999999999999"), Err(StepError::TooLarge(_))));
        for bad in ["0", "-0.1", "0.000"] {
            assert!(matches!(Step::parse(bad), Err(StepError::NotPositive(_))), "{bad:?}");
        }
    }
}
