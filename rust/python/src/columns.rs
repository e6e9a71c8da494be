//! Rows to the columns of a Batch.

use pbs_core::{Catalogue, Row, Rows};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyNone, PyString, PyTuple};

use crate::convert::{kind, text};

/// The columns of `pbs_fast.events.Batch` after `source`, in its order; none without rows.
pub(crate) fn row_columns<'py>(py: Python<'py>, catalogue: &Catalogue, rows: &Rows) -> PyResult<Bound<'py, PyTuple>> {
    if rows.rows.is_empty() {
        return Ok(PyTuple::empty(py));
    }
    let hosts: Vec<_> = rows.hosts.iter().map(|host| text(py, host)).collect();
    // Batches of a live log have few rows, and fewer formats than the catalogue has.
    let mut formats: Vec<Option<Bound<'py, PyString>>> = vec![None; catalogue.format_names().count()];
    let mut format = |row: &Row| {
        let name = || PyString::new(py, catalogue.format_name(row.format));
        formats[usize::from(row.format)].get_or_insert_with(name).clone()
    };
    let mut ip = String::with_capacity(39);
    let mut address = |row: &Row| {
        ip.clear();
        if let Some(address) = row.address {
            address.write(&mut ip);
        }
        PyString::new(py, &ip)
    };
    let optional = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => text(py, bytes).into_any(),
        None => PyNone::get(py).to_owned().into_any(),
    };
    let (all, len) = (&rows.rows, rows.rows.len());
    // One user and one timestamp a row is the rule, and then one object serves both columns.
    let (mut first_users, mut last_users) = (Vec::with_capacity(len), Vec::with_capacity(len));
    let (mut firsts, mut lasts) = (Vec::with_capacity(len), Vec::with_capacity(len));
    for row in all {
        let (first, last, _) = rows.users(row);
        let user = optional(first);
        last_users.push(if last == first { user.clone() } else { optional(last) });
        first_users.push(user);
        let timestamp = row.first.into_pyobject(py)?;
        lasts.push(if row.last == row.first { timestamp.clone() } else { row.last.into_pyobject(py)? });
        firsts.push(timestamp);
    }
    let kind = |row: &Row| kind(py, row.what);
    let sessions = if rows.has_sessions() {
        PyList::new(py, all.iter().map(|row| optional(rows.session(row))))?
    } else {
        repeated(py.None().into_bound(py), len)?
    };
    let processes = if rows.has_processes() {
        PyList::new(py, (0..len).map(|row| text(py, rows.process(row))))?
    } else {
        repeated(intern!(py, "").clone().into_any(), len)?
    };
    PyTuple::new(
        py,
        [
            PyList::new(py, all.iter().map(&mut address))?,
            PyList::new(py, firsts)?,
            PyList::new(py, lasts)?,
            PyList::new(py, all.iter().map(|row| row.n))?,
            PyList::new(py, all.iter().map(kind))?,
            PyList::new(py, all.iter().map(&mut format))?,
            PyList::new(py, all.iter().map(|row| &hosts[row.host as usize]))?,
            PyList::new(py, all.iter().map(|row| row.offset))?,
            PyList::new(py, all.iter().map(|row| row.tls))?,
            PyList::new(py, all.iter().map(|row| row.looped))?,
            sessions,
            PyList::new(py, first_users)?,
            PyList::new(py, last_users)?,
            PyList::new(py, all.iter().map(|row| rows.users(row).2))?,
            processes,
        ],
    )
}

/// A list of one object, `len` times.
fn repeated(object: Bound<'_, PyAny>, len: usize) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::new(object.py(), [&object])?.as_sequence().repeat(len)?;
    Ok(list.into_any().cast_into()?)
}
