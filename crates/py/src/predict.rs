//! What the simulated venue would have made of a real run's commands, as Python sees it: the journal's words, in and
//! out.

use mmbot_sim::{PredictError, predict};
use mmbot_types::{Command, InstrumentId, Lots, Nanos, OrderId, OrderRequest, Ticks, Tif};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::data::{TapeFault, side_named};
use crate::live::event_fields;
use crate::replay::PyListing;

fn field<'py, T: FromPyObjectOwned<'py>>(said: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    let found = said.get_item(name)?.ok_or_else(|| PyKeyError::new_err(format!("the command has no {name:?}")))?;
    found.extract().map_err(Into::into)
}

fn command(said: &Bound<'_, PyDict>) -> PyResult<Command> {
    let id = OrderId(field(said, "order_id")?);
    let terms = || PyResult::Ok((Ticks(field(said, "tick")?), Lots(field(said, "lots")?)));
    match field::<String>(said, "command")?.as_str() {
        "place" => {
            let (price, qty) = terms()?;
            let tif = match field::<String>(said, "tif")?.as_str() {
                "gtc" => Tif::Gtc,
                "ioc" => Tif::Ioc,
                "fok" => Tif::Fok,
                other => return Err(PyValueError::new_err(format!("tif {other:?} is none of gtc, ioc, fok"))),
            };
            let request = OrderRequest {
                instrument: InstrumentId(0),
                side: side_named("side", &field::<String>(said, "side")?)?,
                price,
                qty,
                tif,
                post_only: field(said, "post_only")?,
                reduce_only: field(said, "reduce_only")?,
            };
            Ok(Command::Place { id, request })
        }
        "amend" => terms().map(|(price, qty)| Command::Amend { id, price, qty }),
        "cancel" => Ok(Command::Cancel { id }),
        other => Err(PyValueError::new_err(format!("command {other:?} is none of place, amend, cancel"))),
    }
}

/// See the stub.
#[pyfunction]
#[pyo3(name = "predict")]
fn predicted<'py>(
    py: Python<'py>,
    listing: &PyListing,
    arrived: Vec<(i64, Bound<'py, PyDict>)>,
    until_ns: i64,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let read = |(at, said): &(i64, Bound<'_, PyDict>)| Ok((Nanos(*at), command(said)?));
    let arrived = arrived.iter().map(read).collect::<PyResult<Vec<_>>>()?;
    let events = predict(listing.at_venue(), &arrived, Nanos(until_ns)).map_err(|error| match error {
        PredictError::Unsorted { .. } => PyValueError::new_err(error.to_string()),
        PredictError::Tape(_) | PredictError::Book(_) => TapeFault::new_err(error.to_string()),
    })?;
    let told = |event| {
        let out = PyDict::new(py);
        event_fields(&out, event)?;
        Ok(out)
    };
    events.iter().map(told).collect()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(predicted, module)?)
}
