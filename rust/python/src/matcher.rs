//! Formats and a zone, and what a piece of a source holds by them.

use std::sync::Arc;
use std::time::Instant;

use pbs_core::{Catalogue, FormatSpec, Layout};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::convert::{detached, layout_of, refuse, within};

/// What matching needs of a `pbs_fast.formats.Format`.
fn format_spec(format: &Bound<'_, PyAny>) -> PyResult<FormatSpec> {
    Ok(FormatSpec {
        name: format.getattr("name")?.extract()?,
        program: format.getattr("program")?.extract()?,
        tls_program: format.getattr("tls_program")?.extract()?,
        success: format.getattr("success")?.extract()?,
        login: format.getattr("login")?.extract()?,
        logout: format.getattr("logout")?.extract()?,
        session_address: format.getattr("session_address")?.extract()?,
        session_success: format.getattr("session_success")?.extract()?,
        session_failure: format.getattr("session_failure")?.extract()?,
        session_end: format.getattr("session_end")?.extract()?,
        restart: format.getattr("restart")?.extract()?,
        killed: format.getattr("killed")?.extract()?,
        aborted: format.getattr("aborted")?.extract()?,
        line_login: format.getattr("line_login")?.extract()?,
        line_logout: format.getattr("line_logout")?.extract()?,
        cut: format.getattr("cut")?.extract()?,
        marked: format.getattr("marked")?.extract()?,
        unmarked: format.getattr("unmarked")?.extract()?,
        cut_whole: format.getattr("cut_whole")?.extract()?,
        cut_rest: format.getattr("cut_rest")?.extract()?,
        cut_prefix: format.getattr("cut_prefix")?.extract()?,
        own_prefix: format.getattr("own_prefix")?.extract()?,
        own_probe: format.getattr("own_probe")?.extract()?,
        own_in_syslog: format.getattr("own_in_syslog")?.extract()?,
    })
}

/// Compiled formats and a zone.
#[pyclass(frozen, module = "pbs_fast._core")]
pub(crate) struct Matcher(pub(crate) Arc<Catalogue>);

#[pymethods]
impl Matcher {
    #[new]
    fn new(py: Python<'_>, formats: Vec<Bound<'_, PyAny>>, zone: Vec<(i64, i64)>) -> PyResult<Self> {
        let specs: Vec<FormatSpec> = formats.iter().map(format_spec).collect::<PyResult<_>>()?;
        let catalogue = detached(py, || Catalogue::new(&specs, &zone)).map_err(|error| refuse(&error))?;
        Ok(Self(Arc::new(catalogue)))
    }

    fn sniff(&self, py: Python<'_>, data: PyBackedBytes) -> Option<&str> {
        detached(py, || self.0.sniff(&data))
    }

    #[pyo3(signature = (data, *, start = 0, stop = None, offset = 0, layout = "syslog", reference))]
    fn scan(
        &self,
        py: Python<'_>,
        data: PyBackedBytes,
        start: isize,
        stop: Option<isize>,
        offset: u64,
        layout: &str,
        reference: i64,
    ) -> PyResult<Scan> {
        let len = data.len();
        let refused =
            || PyValueError::new_err(format!("scan: {start}..{stop:?} is not within the {len} bytes of data"));
        let (start, stop) = within(len, start, stop).ok_or_else(refused)?;
        let layout = self.layout(layout)?;
        let began = Instant::now();
        let found = detached(py, || self.0.scan(&data[start..stop], layout, reference));
        let seconds = began.elapsed().as_secs_f64();
        Ok(Scan { found, catalogue: Arc::clone(&self.0), data, start, stop, offset, seconds })
    }

    #[getter]
    fn nested(&self) -> Vec<(&str, &str)> {
        self.0.nested().collect()
    }

    #[pyo3(signature = (line, *, layout = "syslog", reference))]
    fn timestamp(&self, line: &[u8], layout: &str, reference: i64) -> PyResult<Option<i64>> {
        Ok(self.0.timestamp(line, self.layout(layout)?, reference))
    }
}

impl Matcher {
    fn layout(&self, name: &str) -> PyResult<Layout> {
        layout_of(&self.0, name)
    }
}

/// Events of one piece of a source; keeps its bytes.
#[pyclass(frozen, module = "pbs_fast._core")]
pub(crate) struct Scan {
    pub(crate) found: pbs_core::Scan,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) data: PyBackedBytes,
    pub(crate) start: usize,
    pub(crate) stop: usize,
    pub(crate) offset: u64,
    #[pyo3(get)]
    pub(crate) seconds: f64,
}

#[pymethods]
impl Scan {
    #[getter]
    fn lines(&self) -> u64 {
        self.found.lines()
    }
}

impl Scan {
    /// What was scanned.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.stop]
    }
}
