//! The only PyO3: wrappers and error mapping. No rule of trading lives here.
#![allow(missing_docs)] // the public documentation of this crate is python/mmbot/_core.pyi
#![allow(clippy::too_many_arguments, clippy::type_complexity)] // signatures are shaped for Python: keywords and tuples

mod controls;
mod data;
mod floor;
mod intent;
mod journal;
mod ledger;
mod live;
mod matching;
mod predict;
mod recovery;
mod replay;
mod run;
mod signals;
mod specs;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("SOURCE_HASH", env!("MMBOT_SOURCE_HASH"))?;
    controls::register(module)?;
    data::register(module)?;
    floor::register(module)?;
    intent::register(module)?;
    journal::register(module)?;
    ledger::register(module)?;
    matching::register(module)?;
    run::register(module)?;
    replay::register(module)?;
    live::register(module)?;
    predict::register(module)?;
    recovery::register(module)?;
    signals::register(module)?;
    specs::register(module)
}
