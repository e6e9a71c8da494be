//! The lines of Postfix that say something about a message.

use std::sync::Arc;

use pbs_core::{Catalogue, Layout};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

use crate::convert::{detached, layout_of, text, within};
use crate::matcher::Matcher;

/// Finds the lines of Postfix that say something about a message.
#[pyclass(frozen, module = "pbs_fast._core")]
pub(crate) struct PostfixLines {
    // Its own allocation: a searcher in it may be aligned to 32 bytes, Python's objects are to 16.
    lines: Arc<pbs_core::PostfixLines>,
    catalogue: Arc<Catalogue>,
}

#[pymethods]
impl PostfixLines {
    #[new]
    fn new(matcher: &Matcher) -> PyResult<Self> {
        let lines = pbs_core::PostfixLines::new().map_err(PyValueError::new_err)?;
        Ok(Self { lines: Arc::new(lines), catalogue: Arc::clone(&matcher.0) })
    }

    #[pyo3(signature = (data, *, start, stop, layout, reference))]
    fn lines(
        &self,
        py: Python<'_>,
        data: PyBackedBytes,
        start: isize,
        stop: isize,
        layout: &str,
        reference: i64,
    ) -> PyResult<PostfixScan> {
        let layout = layout_of(&self.catalogue, layout)?;
        let (start, stop) = within(data.len(), start, Some(stop))
            .ok_or_else(|| PyValueError::new_err(format!("lines: {start}..{stop} is not within the data")))?;
        let found = detached(py, || self.lines.lines(&data[start..stop]));
        Ok(PostfixScan { found, data, start, catalogue: Arc::clone(&self.catalogue), layout, reference })
    }
}

/// What the lines of one piece say; keeps its bytes.
#[pyclass(frozen, module = "pbs_fast._core")]
pub(crate) struct PostfixScan {
    found: Vec<pbs_core::PostfixLine>,
    data: PyBackedBytes,
    start: usize,
    catalogue: Arc<Catalogue>,
    layout: Layout,
    reference: i64,
}

#[pymethods]
impl PostfixScan {
    fn said<'py>(&self, py: Python<'py>, wanted: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let mut rows = Vec::new();
        let mut second = None;
        for found in &self.found {
            let line = &self.data[self.start + found.start..self.start + found.end];
            let ip = text(py, found.ip(line));
            if found.is_of_client() && !wanted.call1((&ip,))?.is_truthy()? {
                continue;
            }
            if second.is_none() || found.kind == pbs_core::PostfixKind::Client {
                let Some(own) = self.catalogue.timestamp(line, self.layout, self.reference) else { continue };
                second = Some(own);
            }
            let row = (
                second,
                found.kind as u8,
                PyBytes::new(py, &found.key(line)),
                ip,
                found.user(line).map(|user| text(py, user)),
                found.other(line).map(|other| PyBytes::new(py, &other)),
                text(py, found.helo(line)),
                found.flag,
            );
            rows.push(row.into_pyobject(py)?);
        }
        PyList::new(py, rows)
    }
}
