//! What a run left, from its journal alone: neither its tapes nor its strategy is needed.
//!
//! The journal says what was decided, so nothing is decided again: facts, adoptions and verdicts are taken in as the
//! run took them, and recorded commands and denials in the place of those that would be made. Every state hash on the
//! way must come out.

use std::path::Path;

use mmbot_engine::{Controls, Desk, DifferRules, Engine, EngineError, Input, Limits, Recorded};
use mmbot_journal::{Difference, Entry, Fault, Kind, Reader, Tail};
use mmbot_types::{ContractKind, Event, FeeSchedule, Instrument, Lots, Nanos, OrderId, Step};
use serde::Deserialize;
use thiserror::Error;

use crate::executions::Executions;
use crate::opening::{Names, Opening, OpeningError};

/// Why nothing can be taken over from a journal.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// It cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// It says a state that does not follow from what it says before.
    #[error(transparent)]
    Differs(Box<Difference>),
    /// What it began with cannot be read.
    #[error("entry {seq}: {source}")]
    Opening {
        /// Which entry.
        seq: u64,
        /// Why.
        source: OpeningError,
    },
    /// A decision that contradicts what it says before.
    #[error("entry {seq} contradicts those before it: {source}")]
    Engine {
        /// Which entry.
        seq: u64,
        /// Why.
        source: EngineError,
    },
    /// It does not say what was traded.
    #[error("the journal does not say what was traded: {0}; expected run_start as its first entry, with instruments")]
    Start(String),
}

/// A run as its journal leaves it.
pub struct Recovered {
    engine: Engine,
    executions: Executions,
    names: Names,
    /// The first entry that was taken in; a snapshot there is what is begun with, any other has to come out.
    begins: u64,
    /// The first entry: what the run was.
    pub start: String,
    /// Said on the way: time, topic, text.
    pub notes: Vec<(Nanos, String, String)>,
    /// The run ended in order.
    pub ended: bool,
    /// It was told to place nothing more.
    pub halted: bool,
    /// Time of the last entry.
    pub last_time: Nanos,
    /// How many entries.
    pub entries: u64,
    /// Where a torn last entry begins, and how many bytes there are of it.
    pub torn: Option<(u64, u64)>,
    /// The chain value after the last entry, as hex.
    pub head: String,
}

impl Recovered {
    /// Before the first entry. Limits and rules decide nothing here: what they let through is recorded.
    fn new(instruments: Vec<Instrument>) -> Self {
        let limits = Limits {
            position_max: Lots::ZERO,
            order_max: Lots::ZERO,
            open_orders_max: 0,
            collar_bps: 0,
            requests_per_second_max: 0,
            controls: Controls::default(),
        };
        let executions = Executions::new(&instruments);
        let desk = Desk { limits, rules: DifferRules::default() };
        let desks = instruments.into_iter().map(|instrument| (instrument, desk.clone())).collect();
        Self {
            engine: Engine::new(desks),
            executions,
            names: Names::new(),
            begins: 0,
            start: String::new(),
            notes: Vec::new(),
            ended: false,
            halted: false,
            last_time: Nanos::ZERO,
            entries: 0,
            torn: None,
            head: String::new(),
        }
    }

    /// Orders, books and limits' counts.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The first entry that was taken in: 0, or a snapshot.
    #[must_use]
    pub fn begins(&self) -> u64 {
        self.begins
    }

    /// Client id and the venue's own of an order, where the journal says them.
    #[must_use]
    pub fn name(&self, id: OrderId) -> (&str, &str) {
        self.names.get(&id).map_or(("", ""), |(client, venue)| (client, venue))
    }

    /// What [`crate::Live::open`] begins with.
    #[must_use]
    pub fn snapshot(&self) -> String {
        Opening::of(&self.engine, &self.executions, &self.names).text()
    }

    fn take(&mut self, seq: u64, now: Nanos, entry: &Entry<'_>) -> Result<(), RecoverError> {
        let contradicts = |source| RecoverError::Engine { seq, source };
        match *entry {
            Entry::Event { event, words } => {
                self.event(now, &event, words);
                Ok(())
            }
            Entry::Adopted { id, adoption, client_id, venue_id } => {
                if self.engine.step(now, Input::Adopt(&adoption)).is_ok() {
                    self.names.insert(id, (client_id.to_owned(), venue_id.to_owned()));
                }
                Ok(())
            }
            Entry::Opening(text) => {
                let opening = Opening::read(text).map_err(|source| RecoverError::Opening { seq, source })?;
                let (engine, executions) = (&mut self.engine, &mut self.executions);
                opening
                    .restore(now, engine, executions, &mut self.names)
                    .map_err(|source| RecoverError::Opening { seq, source })
            }
            Entry::Snapshot { halted, text } if seq == self.begins => {
                let opening = Opening::read(text).map_err(|source| RecoverError::Opening { seq, source })?;
                self.halted = halted;
                opening
                    .resume(&mut self.engine, &mut self.executions, &mut self.names)
                    .map_err(|source| RecoverError::Opening { seq, source })
            }
            Entry::Snapshot { .. } => {
                let text = self.snapshot();
                let found = Entry::Snapshot { halted: self.halted, text: &text };
                same(seq, now, entry, &found)
            }
            Entry::Carried { at, topic, text } => {
                if self.notes.iter().all(|(_, known, _)| known != topic) {
                    self.notes.push((at, topic.to_owned(), text.to_owned()));
                }
                Ok(())
            }
            Entry::Command(command) => self.engine.recorded(now, Recorded::Command(command)).map_err(contradicts),
            Entry::Denied { denials, .. } => self.engine.recorded(now, Recorded::Denied(denials)).map_err(contradicts),
            Entry::Outside(told) => self.engine.step(now, Input::Outside(&told)).map(drop).map_err(contradicts),
            Entry::Intent { .. } | Entry::CancelAsked(_) | Entry::Ordered(_) => {
                self.engine.recorded(now, Recorded::Asked).map_err(contradicts)
            }
            Entry::StateHash { .. } => {
                let found = Entry::StateHash { state: self.engine.state_hash(), commands: self.engine.commands_hash() };
                same(seq, now, entry, &found)
            }
            Entry::Note { topic, text } => {
                self.notes.push((now, topic.to_owned(), text.to_owned()));
                Ok(())
            }
            Entry::Halt => {
                self.halted = true;
                Ok(())
            }
            Entry::RunEnd(_) => {
                self.ended = true;
                Ok(())
            }
            Entry::RunStart(text) => {
                text.clone_into(&mut self.start);
                Ok(())
            }
            Entry::Wake { .. } => Ok(()),
        }
    }

    /// As the live engine takes it: one that the books cannot take moved only the clock, a repeat not even that.
    fn event(&mut self, now: Nanos, event: &Event, words: &str) {
        let (order, instrument, execution) = match *event {
            Event::Filled { id, .. } => (id, self.engine.terms_of(id).map(|(instrument, _)| instrument), words),
            Event::PositionMoved { instrument, .. } => {
                let listed = usize::from(instrument.0) < self.engine.ledger().len();
                let execution = words.split_once(' ').map_or(words, |(_, execution)| execution);
                (OrderId(0), listed.then_some(instrument), execution)
            }
            _ => (OrderId(0), None, ""),
        };
        let has_name = order != OrderId(0) || instrument.is_some();
        if has_name && self.executions.number(execution, order, instrument).is_some() {
            return;
        }
        if self.engine.step(now, Input::Event(event)).is_ok()
            && let Some(instrument) = instrument
        {
            self.executions.booked(execution, order, instrument);
        }
    }
}

/// Two entries that have to say the same.
fn same(seq: u64, time: Nanos, expected: &Entry<'_>, found: &Entry<'_>) -> Result<(), RecoverError> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (expected.to_string(), found.to_string());
    Err(RecoverError::Differs(Box::new(Difference { seq, time, expected, found })))
}

/// Reads a journal to its end, or `until` so many entries. `instruments`: what was traded, where its first entry does
/// not say it.
///
/// # Errors
/// [`RecoverError`]. A torn last entry is none: nothing was done because of it.
pub fn recover(
    reader: Reader,
    instruments: Option<Vec<Instrument>>,
    until: Option<u64>,
) -> Result<Recovered, RecoverError> {
    read_on(reader, instruments.map(Recovered::new), until)
}

/// As [`recover`] to the end, but begins with the last snapshot that an anchor vouches for, or with the last one where
/// there is no anchor at all: what is read does not grow with the run. Entries before it are not looked at; what was
/// anchored is held against what is read. Anchors: (number of entries, chain value after them).
///
/// # Errors
/// [`RecoverError`], as of the whole journal.
pub fn take_over(path: impl AsRef<Path>, anchors: Vec<(u64, String)>) -> Result<Recovered, RecoverError> {
    let path = path.as_ref();
    let newest = anchors.iter().map(|(entries, _)| *entries).max();
    for (segment, first) in Reader::segments(path)?.into_iter().skip(1).rev() {
        if newest.is_none_or(|newest| newest > first)
            && let Ok(Some(run)) = from_segment(path, segment, first, anchors.clone())
        {
            return Ok(run);
        }
    }
    recover(Reader::open(path)?.anchored(anchors), None, None) // from the start, which also names what is wrong
}

/// None for a segment that does not begin with a snapshot.
fn from_segment(
    path: &Path,
    segment: u64,
    first: u64,
    anchors: Vec<(u64, String)>,
) -> Result<Option<Recovered>, RecoverError> {
    if !matches!(Reader::open_at(path, segment)?.next_record()?, Some(record) if record.kind == Kind::Snapshot as u16) {
        return Ok(None);
    }
    let mut beginning = Reader::open(path)?;
    let Some(record) = beginning.next_record()? else { return Ok(None) };
    let Entry::RunStart(start) = record.entry()? else { return Ok(None) };
    let mut run = Recovered::new(traded(start)?);
    start.clone_into(&mut run.start);
    run.begins = first;
    read_on(Reader::open_at(path, segment)?.anchored(anchors), Some(run), None).map(Some)
}

fn read_on(mut reader: Reader, mut run: Option<Recovered>, until: Option<u64>) -> Result<Recovered, RecoverError> {
    while until.is_none_or(|until| reader.seq() < until) {
        let Some(record) = reader.next_record()? else { break };
        let (seq, time, entry) = (record.seq, record.time, record.entry()?);
        let run = match (&mut run, &entry) {
            (Some(run), _) => run,
            (none, Entry::RunStart(text)) => none.insert(Recovered::new(traded(text)?)),
            (None, other) => return Err(RecoverError::Start(format!("it begins with {other}"))),
        };
        run.take(seq, time, &entry)?;
        run.last_time = time;
        run.entries = seq + 1;
    }
    let mut run = run.ok_or_else(|| RecoverError::Start("it is empty".into()))?;
    if let Some(Tail::Torn { offset, bytes }) = reader.tail() {
        run.torn = Some((offset, bytes));
    }
    run.head = reader.head();
    Ok(run)
}

/// What of a run's start matters here.
#[derive(Deserialize)]
struct Start {
    instruments: Vec<Terms>,
}

#[derive(Deserialize)]
struct Terms {
    venue: String,
    symbol: String,
    kind: String,
    tick: String,
    lot: String,
    #[serde(default = "one")]
    contract: String,
}

fn one() -> String {
    "1".into()
}

fn traded(start: &str) -> Result<Vec<Instrument>, RecoverError> {
    let Start { instruments } = serde_json::from_str(start).map_err(|error| RecoverError::Start(error.to_string()))?;
    let told = instruments.into_iter().map(|terms| {
        let Terms { venue, symbol, kind, tick, lot, contract } = terms;
        let step = |text: &str| Step::parse(text).map_err(|error| RecoverError::Start(format!("{symbol}: {error}")));
        let kind = match kind.as_str() {
            "linear" => ContractKind::Linear,
            "inverse" => ContractKind::Inverse,
            "spot" => ContractKind::Spot,
            other => return Err(RecoverError::Start(format!("{symbol}: a contract of kind {other:?}"))),
        };
        let (tick, lot, contract) = (step(&tick)?, step(&lot)?, step(&contract)?);
        let fees = FeeSchedule::flat(0, 0).map_err(|error| RecoverError::Start(error.to_string()))?;
        Ok(Instrument { venue, symbol, kind, tick, lot, contract, fees }) // fees are told with each execution
    });
    told.collect()
}
