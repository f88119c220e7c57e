//! Public orders as a feed by order tells them, and what each change does to its level.

use std::collections::BTreeMap;

use mmbot_types::{Level, Side};

use crate::{OrderKind, OrderMessage, TapeError};

/// A public order that rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicOrder {
    /// The venue's name for it, unique among the orders that rest.
    pub id: u64,
    /// On which side it rests.
    pub side: Side,
    /// Price and open quantity.
    pub level: Level,
}

/// What a feed by order says about one order. An order that gets another price, or more lots, loses its place in line:
/// that is a removal and an addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderChange {
    /// It comes to rest at the back of its price.
    Add(PublicOrder),
    /// Its owner takes lots out; what is left keeps its place in line.
    Reduce {
        /// Which order.
        id: u64,
        /// Lots taken out.
        lots: u32,
    },
    /// Its owner takes it out whole.
    Remove {
        /// Which order.
        id: u64,
    },
    /// Lots of it are executed by an order that arrives on the other side.
    Execute {
        /// Which order.
        id: u64,
        /// Lots executed.
        lots: u32,
    },
}

impl OrderChange {
    const fn id(self) -> u64 {
        match self {
            Self::Add(PublicOrder { id, .. })
            | Self::Reduce { id, .. }
            | Self::Remove { id }
            | Self::Execute { id, .. } => id,
        }
    }
}

/// An order and the depth message with which it took its place in line.
#[derive(Clone, Copy)]
struct Placed {
    order: PublicOrder,
    since: u32,
}

/// The orders that rest, by name. Their places in line are not kept: `since` tells them.
#[derive(Default)]
pub(crate) struct OrderBook {
    resting: BTreeMap<u64, Placed>,
}

fn unfit(field: &'static str, value: impl TryInto<i64>, expected: &'static str) -> TapeError {
    TapeError::Unfit { field, value: value.try_into().unwrap_or(i64::MAX), expected }
}

impl OrderBook {
    pub fn clear(&mut self) {
        self.resting.clear();
    }

    /// What a change says, as a message told by depth message `depth`. Changes nothing.
    pub fn judge(&self, change: OrderChange, depth: u32) -> Result<OrderMessage, TapeError> {
        let id = change.id();
        let placed = self.resting.get(&id);
        if let OrderChange::Add(order) = change {
            if placed.is_some() {
                return Err(unfit("order", id, "the name of no order that rests"));
            }
            if order.level.lots == 0 {
                return Err(unfit("quantity", 0, "lots from 1 to 2^32 - 1"));
            }
            return Ok(OrderMessage::new(OrderKind::Add, id, order.side, order.level, depth, depth));
        }
        let Some(&Placed { order, since }) = placed else {
            return Err(unfit("order", id, "the name of an order that rests"));
        };
        let (kind, lots) = match change {
            OrderChange::Reduce { lots, .. } => (OrderKind::Reduce, lots),
            OrderChange::Execute { lots, .. } => (OrderKind::Execute, lots),
            OrderChange::Remove { .. } | OrderChange::Add(_) => (OrderKind::Remove, order.level.lots),
        };
        if !(1..=order.level.lots).contains(&lots) {
            return Err(unfit("quantity", lots, "from 1 lot to what the order holds"));
        }
        Ok(OrderMessage::new(kind, id, order.side, Level { lots, ..order.level }, depth, since))
    }

    /// Lets a judged message happen.
    pub fn apply(&mut self, message: &OrderMessage) {
        let OrderMessage { id, since, tick, lots, .. } = *message;
        if message.kind() == OrderKind::Add {
            let order = PublicOrder { id, side: message.side(), level: Level { tick, lots } };
            self.resting.insert(id, Placed { order, since });
            return;
        }
        if let Some(placed) = self.resting.get_mut(&id) {
            placed.order.level.lots -= lots;
            if placed.order.level.lots == 0 {
                self.resting.remove(&id);
            }
        }
    }
}

/// The levels that orders make, bids and asks.
pub(crate) fn levels(orders: &[PublicOrder]) -> Result<[Vec<Level>; 2], TapeError> {
    let mut sums: [BTreeMap<i32, u32>; 2] = Default::default();
    for PublicOrder { side, level: Level { tick, lots }, .. } in orders {
        let sum = sums[usize::from(*side == Side::Sell)].entry(*tick).or_default();
        *sum = grown(*sum, *lots)?;
    }
    Ok(sums.map(|side| side.into_iter().map(|(tick, lots)| Level { tick, lots }).collect()))
}

/// A level that `lots` join.
pub(crate) fn grown(displayed: u32, lots: u32) -> Result<u32, TapeError> {
    let sum = u64::from(displayed) + u64::from(lots);
    u32::try_from(sum).map_err(|_| unfit("sum of the orders at a price", sum, "at most 2^32 - 1 lots"))
}
