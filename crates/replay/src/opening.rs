//! What one run leaves and the next begins with: orders, books, booked executions and names, as one text.

use std::collections::{BTreeMap, BTreeSet};

use mmbot_engine::{Engine, EngineError, EngineState, Input, Life, Op, RestoreError};
use mmbot_types::{Event, Nanos, OrderId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::executions::{Executions, ExecutionsState};

/// Of the text. A run reads those up to its own: version 1 forgot what the limits counted and were told.
const VERSION: u32 = 2;

/// Why a run cannot begin with what another left.
#[derive(Debug, Error)]
pub enum OpeningError {
    /// Not one of ours, or damaged.
    #[error("the snapshot cannot be read ({0}); expected the bytes that `recover` made of a journal")]
    Unreadable(String),
    /// Of a later version.
    #[error(
        "the snapshot has version {0}, this mmbot reads up to {VERSION}: take over with the mmbot that wrote the \
         journal, or a later one"
    )]
    Newer(u32),
    /// Of another account or plan.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Its executions do not fit.
    #[error("the snapshot's executions contradict themselves; it was not written by mmbot, or it was changed")]
    Executions,
    /// The new run's clock is behind.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A run has begun already.
    #[error("a run takes over with its first input, and this one has begun")]
    Late,
}

/// How orders are called outside: client id and the venue's own, each empty where it is not known.
pub(crate) type Names = BTreeMap<OrderId, (String, String)>;

#[derive(Serialize, Deserialize)]
struct Version {
    version: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Opening {
    version: u32,
    engine: EngineState,
    executions: ExecutionsState,
    names: Names,
}

impl Opening {
    pub(crate) fn of(engine: &Engine, executions: &Executions, names: &Names) -> Self {
        let remembered = remembered(engine);
        let names = names.iter().filter(|(id, _)| remembered.contains(id)).map(|(id, name)| (*id, name.clone()));
        Self {
            version: VERSION,
            engine: engine.snapshot(),
            executions: executions.snapshot(|id| remembered.contains(&id)),
            names: names.collect(),
        }
    }

    pub(crate) fn read(text: &str) -> Result<Self, OpeningError> {
        let unreadable = |error: serde_json::Error| OpeningError::Unreadable(error.to_string());
        let Version { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version > VERSION {
            return Err(OpeningError::Newer(version));
        }
        serde_json::from_str(text).map_err(unreadable)
    }

    /// Adds how orders are called; what is known already is kept.
    pub(crate) fn name(&mut self, names: impl IntoIterator<Item = (OrderId, String)>) {
        for (id, client) in names {
            self.names.entry(id).or_insert((client, String::new()));
        }
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("whole numbers and texts can always be told")
    }

    /// Puts it in the place of the state of an engine at rest. What was on its way when the earlier run ended, written
    /// down but perhaps not sent included, is unknown from now on: it counts until the venue or a proof says what
    /// became of it.
    pub(crate) fn restore(
        self,
        now: Nanos,
        engine: &mut Engine,
        executions: &mut Executions,
        names: &mut Names,
    ) -> Result<(), OpeningError> {
        self.resume(engine, executions, names)?;
        let on_its_way = engine
            .orders()
            .iter()
            .filter(|order| matches!(order.life, Life::Intent | Life::Sent | Life::Acked) || order.op != Op::Idle);
        for id in on_its_way.map(|order| order.id).collect::<Vec<_>>() {
            engine.step(now, Input::Event(&Event::OrderUnknown { id }))?;
        }
        Ok(())
    }

    /// Puts it in the place of the state of an engine at rest, as it was.
    pub(crate) fn resume(
        self,
        engine: &mut Engine,
        executions: &mut Executions,
        names: &mut Names,
    ) -> Result<(), OpeningError> {
        if !executions.fits(&self.executions) {
            return Err(OpeningError::Executions);
        }
        engine.restore(self.engine)?;
        executions.restore(self.executions);
        // A name of an order that is not there would be taken for that of the next one with its number.
        let remembered = remembered(engine);
        *names = self.names.into_iter().filter(|(id, _)| remembered.contains(id)).collect();
        Ok(())
    }
}

fn remembered(engine: &Engine) -> BTreeSet<OrderId> {
    engine.orders().iter().chain(engine.gone()).map(|order| order.id).collect()
}
