//! Rows that other nodes share.

use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// What another node's message of rows holds, if it has the writer's form.
#[pyfunction]
#[pyo3(signature = (m, rows, run, user, format, host, /))]
pub(crate) fn shared_rows<'py>(
    py: Python<'py>,
    m: &[u8],
    rows: usize,
    run: usize,
    user: usize,
    format: usize,
    host: usize,
) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let bounds = pbs_core::SharedBounds { rows, run, user, format, host };
    match pbs_core::SharedRows::parse(m, bounds) {
        Some(found) => shared(py, &found).map(Some),
        None => Ok(None),
    }
}

/// Run, number, time and rows of another node's message.
fn shared<'py>(py: Python<'py>, found: &pbs_core::SharedRows<'_>) -> PyResult<Bound<'py, PyTuple>> {
    // Nearly all rows of a message have one format and one host.
    let mut kept = [("", PyString::new(py, "")), ("", PyString::new(py, ""))];
    let mut rows = Vec::with_capacity(found.rows.len());
    for row in &found.rows {
        for (text, kept) in [row.format, row.host].into_iter().zip(&mut kept) {
            if kept.0 != text {
                *kept = (text, PyString::new(py, text));
            }
        }
        let [(_, format), (_, host)] = &kept;
        rows.push((row.ip, row.left, row.user, format, host, row.age).into_pyobject(py)?);
    }
    (found.run, found.number, found.time, PyTuple::new(py, rows)?).into_pyobject(py)
}
