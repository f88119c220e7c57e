//! Why an order was denied: every reason, not the first.

use std::fmt;

/// How wide the net is in which an order was caught. All five are looked at for every order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// The order by itself.
    Order,
    /// All of its instrument.
    Symbol,
    /// All of the strategy.
    Strategy,
    /// All that the account has.
    Account,
    /// All that the firm has.
    Firm,
}

impl Tier {
    /// The name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Symbol => "symbol",
            Self::Strategy => "strategy",
            Self::Account => "account",
            Self::Firm => "firm",
        }
    }
}

macro_rules! denials {
    ($($name:ident $number:literal $tier:ident $said:literal $meaning:literal,)+) => {
        /// One reason. Its number is part of the journal's format and never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Denial {
            $(#[doc = $meaning] $name = $number,)+
        }

        impl Denial {
            /// All of them, in the order of their numbers.
            pub const ALL: [Self; [$($number),+].len()] = [$(Self::$name),+];

            /// The name that reports and counters use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $said,)+ }
            }

            /// What it looks at.
            #[must_use]
            pub const fn tier(self) -> Tier {
                match self { $(Self::$name => Tier::$tier,)+ }
            }

            /// What was wrong, for a person.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)+ }
            }
        }
    };
}

#[rustfmt::skip]
denials! {
    Malformed       0  Order    "malformed"        "Quantity not positive, or a price or quantity that no market has.",
    OrderSize       1  Order    "order_size"       "More left to trade than one order may have.",
    Position        2  Symbol   "position"         "Worst-case position beyond the limit.",
    OpenOrders      3  Strategy "open_orders"      "Too many orders that are not settled.",
    Collar          4  Order    "collar"           "Price too far beyond the touch.",
    Rate            5  Symbol   "rate"             "Too many new orders and amends within a second.",
    NakedMarket     6  Order    "naked_market"     "No limit price.",
    OrderNotional   7  Order    "order_notional"   "Worth more than one order may be.",
    HardCap         8  Order    "hard_cap"         "Beyond a cap that no configuration can lift.",
    UnitShift       9  Order    "unit_shift"       "Ten times the usual size, a tenth or ten times the price.",
    Duplicate      10  Order    "duplicate"        "The same order was sent a moment ago.",
    PostOnly       11  Order    "post_only"        "A maker's order that could take.",
    Book           12  Order    "book"             "No two-sided, uncrossed book.",
    BookAge        13  Order    "book_age"         "The book is too old, or its age is not known.",
    ReferenceAge   14  Order    "reference_age"    "The second reference price is missing or too old.",
    ReferenceCollar 15 Order    "reference_collar" "Price too far beyond the second reference price.",
    SelfMatch      16  Symbol   "self_match"       "Would trade with an order of our own.",
    SymbolNotional 17  Symbol   "symbol_notional"  "Worst-case position of the instrument worth too much.",
    SymbolOrders   18  Symbol   "symbol_orders"    "Too many orders of the instrument that are not settled.",
    OpenNotional   19  Symbol   "open_notional"    "Open orders of the instrument worth too much.",
    NotAllowed     20  Symbol   "not_allowed"      "An instrument that is not on the list.",
    FrozenSymbol   21  Symbol   "frozen_symbol"    "The instrument is frozen.",
    OrderToTrade   22  Symbol   "order_to_trade"   "Too many requests for what was traded today.",
    FrozenStrategy 23  Strategy "frozen_strategy"  "The strategy is frozen.",
    StrategyNotional 24 Strategy "strategy_notional" "Worst cases of the strategy worth too much.",
    ApiBudget      25  Account  "api_budget"       "New orders spent their share of the venue's rate.",
    Unvalued       26  Account  "unvalued"         "Something that we hold or quote has no price.",
    AccountGross   27  Account  "account_gross"    "Gross worst case of the account worth too much.",
    AccountNet     28  Account  "account_net"      "Net worst case of the account worth too much.",
    AccountElsewhere 29 Account "account_elsewhere" "What other runs of the account hold is unknown or old.",
    FrozenAccount  30  Account  "frozen_account"   "The account is frozen.",
    FirmGross      31  Firm     "firm_gross"       "Gross worst case of the firm worth too much.",
    FirmNet        32  Firm     "firm_net"         "Net worst case of the firm worth too much.",
    FirmElsewhere  33  Firm     "firm_elsewhere"   "What the firm holds elsewhere is unknown or old.",
    FrozenFirm     34  Firm     "frozen_firm"      "The firm is frozen.",
    OpenPositions  35  Account  "open_positions"   "Too many instruments with a position or a way to one.",
    MarginAge      36  Account  "margin_age"       "Free margin is not known, or the word on it is too old.",
    EntryAge       37  Symbol   "entry_age"        "What is held has no known entry price for a stop.",
}

/// A set of reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Denials(u64);

impl Denials {
    /// No reason: the order may go.
    pub const NONE: Self = Self(0);

    /// Adds a reason if it holds.
    #[inline]
    pub fn add(&mut self, denial: Denial, holds: bool) {
        self.0 |= u64::from(holds) << denial as u8;
    }

    /// One reason.
    #[must_use]
    pub const fn of(denial: Denial) -> Self {
        Self(1 << denial as u8)
    }

    /// Whether nothing speaks against the order.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether that reason is among them.
    #[must_use]
    pub const fn has(self, denial: Denial) -> bool {
        self.0 >> denial as u8 & 1 == 1
    }

    /// All reasons, by number.
    pub fn iter(self) -> impl Iterator<Item = Denial> {
        Denial::ALL.into_iter().filter(move |denial| self.has(*denial))
    }

    /// As a journal keeps it: bit n is reason number n.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// From a journal; none for a bit that is no reason.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits >> Denial::ALL.len() == 0 { Some(Self(bits)) } else { None }
    }
}

impl FromIterator<Denial> for Denials {
    fn from_iter<T: IntoIterator<Item = Denial>>(reasons: T) -> Self {
        reasons.into_iter().fold(Self::NONE, |mut all, reason| {
            all.add(reason, true);
            all
        })
    }
}

impl fmt::Display for Denials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons = self.iter();
        if let Some(first) = reasons.next() {
            f.write_str(first.name())?;
        }
        reasons.try_for_each(|reason| write!(f, ", {}", reason.name()))
    }
}
