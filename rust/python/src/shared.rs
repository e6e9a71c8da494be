//! Rows that nodes share: those of others read, our own written.

use pbs_core::{OwnRow, SharedLists, is_plain};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

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

/// Our own rows as lists of messages.
#[pyfunction]
#[pyo3(signature = (rows, logins, now, grace, most_rows, most_bytes, /))]
pub(crate) fn shared_lists<'py>(
    py: Python<'py>,
    rows: &Bound<'py, PyList>,
    logins: Option<&Bound<'py, PyList>>,
    now: f64,
    grace: i64,
    most_rows: usize,
    most_bytes: usize,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let mut lists = SharedLists::new(now, grace, most_rows, most_bytes);
    for (place, pair) in rows.iter().enumerate() {
        let pair = pair.cast::<PyTuple>()?;
        let (ip, row) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
        let row = row.cast::<PyTuple>()?;
        let (user, format, host) = (row.get_borrowed_item(1)?, row.get_borrowed_item(2)?, row.get_borrowed_item(4)?);
        let end = row.get_borrowed_item(0)?.extract()?;
        let login = match logins {
            Some(logins) => logins.get_item(place)?.extract()?,
            None => end - grace,
        };
        let user = if user.is_none() { None } else { Some(user.cast::<PyString>()?) };
        lists.push(OwnRow {
            ip: ip.cast::<PyString>()?.to_str()?,
            end,
            login,
            user: user.as_ref().map(|user| user.to_str()).transpose()?,
            format: format.cast::<PyString>()?.to_str()?,
            host: host.cast::<PyString>()?.to_str()?,
        });
    }
    Ok(lists.finish().iter().map(|list| PyBytes::new(py, list)).collect())
}

/// Which of our own rows have a text that is not plain, by their places.
#[pyfunction]
#[pyo3(signature = (rows, user, format, host, /))]
pub(crate) fn doubtful_rows(rows: &Bound<'_, PyList>, user: usize, format: usize, host: usize) -> PyResult<Vec<usize>> {
    let mut doubtful = Vec::new();
    for (place, pair) in rows.iter().enumerate() {
        let row = pair.cast::<PyTuple>()?.get_borrowed_item(1)?;
        let row = row.cast::<PyTuple>()?;
        let plain = |item: usize, longest: usize| -> PyResult<bool> {
            let text = row.get_borrowed_item(item)?;
            // A lone surrogate is no UTF-8.
            Ok(text.is_none() || text.cast::<PyString>()?.to_str().is_ok_and(|text| is_plain(text, longest)))
        };
        if !(plain(1, user)? && plain(2, format)? && plain(4, host)?) {
            doubtful.push(place);
        }
    }
    Ok(doubtful)
}
