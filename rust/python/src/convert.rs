//! What all classes of the binding share: one place releases the interpreter, one maps errors, one makes texts.

use pbs_core::{Catalogue, Error, Layout, What};
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{exceptions::PyValueError, intern, marker::Ungil};

pyo3::import_exception!(pbs_fast.errors, FormatError);

/// Runs `work` while other Python threads may run.
pub(crate) fn detached<T: Ungil + Send>(py: Python<'_>, work: impl FnOnce() -> T + Ungil + Send) -> T {
    py.detach(work)
}

pub(crate) fn refuse(error: &Error) -> PyErr {
    let line = error.to_string();
    if *error == Error::Zone { PyValueError::new_err(line) } else { FormatError::new_err(line) }
}

pub(crate) fn layout_of(catalogue: &Catalogue, name: &str) -> PyResult<Layout> {
    let unknown = || PyValueError::new_err(format!("layout {name:?}: no format has a log of its own by this name"));
    catalogue.layout(name).ok_or_else(unknown)
}

/// The bounds of a part of some bytes, None where they are outside.
pub(crate) fn within(len: usize, start: isize, stop: Option<isize>) -> Option<(usize, usize)> {
    let index = |at: isize| usize::try_from(at).ok();
    index(start).zip(stop.map_or(Some(len), index)).filter(|&(start, stop)| start <= stop && stop <= len)
}

pub(crate) fn text<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    PyString::from_bytes(py, bytes).unwrap_or_else(|_| PyString::new(py, &String::from_utf8_lossy(bytes)))
}

pub(crate) fn kind(py: Python<'_>, what: What) -> Bound<'_, PyString> {
    match what {
        What::Login => intern!(py, "login").clone(),
        What::Logout => intern!(py, "logout").clone(),
        What::Ending(ending) => PyString::intern(py, ending.name()),
        What::Missed(_) => intern!(py, "missed").clone(),
    }
}
