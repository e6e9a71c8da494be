//! The scans of a source in their order: events, columns of rows, counters.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pbs_core::{Catalogue, Event, What};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::columns::row_columns;
use crate::convert::{detached, kind, text};
use crate::matcher::{Matcher, Scan};

/// The ordered half, for one source.
#[pyclass(frozen, module = "pbs_fast._core")]
pub(crate) struct Stream {
    catalogue: Arc<Catalogue>,
    state: Mutex<(pbs_core::Stream, Duration)>,
}

#[pymethods]
impl Stream {
    #[new]
    #[pyo3(signature = (matcher, *, gap, live = false, fold = true, sessions = true))]
    fn new(matcher: &Matcher, gap: Option<i64>, live: bool, fold: bool, sessions: bool) -> PyResult<Self> {
        if let Some(gap) = gap.filter(|&gap| gap < 0) {
            return Err(PyValueError::new_err(format!("gap {gap}: give seconds, 0 or more")));
        }
        let catalogue = Arc::clone(&matcher.0);
        let stream = pbs_core::Stream::new(Arc::clone(&catalogue), gap.unwrap_or(pbs_core::NO_GAP), live, fold);
        let stream = if sessions { stream } else { stream.without_sessions() };
        Ok(Self { catalogue, state: Mutex::new((stream, Duration::ZERO)) })
    }

    fn add(&self, py: Python<'_>, scan: &Scan) -> PyResult<()> {
        self.check(scan)?;
        detached(py, || {
            let began = Instant::now();
            let mut state = self.lock();
            state.0.add(&scan.found, scan.bytes(), scan.offset);
            state.1 += began.elapsed();
        });
        Ok(())
    }

    fn events<'py>(&self, py: Python<'py>, scan: &Scan) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        self.check(scan)?;
        let events = detached(py, || self.lock().0.events(&scan.found, scan.bytes()));
        events.iter().map(|event| self.event(py, event, scan.offset)).collect()
    }

    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let began = Instant::now();
        let rows = detached(py, || self.lock().0.take());
        let columns = row_columns(py, &self.catalogue, &rows)?;
        self.lock().1 += began.elapsed();
        Ok(columns)
    }

    #[getter]
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = PyDict::new(py);
        for (name, n) in self.lock().0.counters() {
            counters.set_item(name, n)?;
        }
        Ok(counters)
    }

    #[getter]
    fn fold_seconds(&self) -> f64 {
        self.lock().1.as_secs_f64()
    }
}

impl Stream {
    /// Held for moments and never while Python code runs. A panic elsewhere has been raised in Python already.
    fn lock(&self) -> MutexGuard<'_, (pbs_core::Stream, Duration)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, scan: &Scan) -> PyResult<()> {
        let refused =
            || PyValueError::new_err("the scan is another matcher's; give the stream scans of its own matcher");
        Arc::ptr_eq(&self.catalogue, &scan.catalogue).then_some(()).ok_or_else(refused)
    }

    fn event<'py>(&self, py: Python<'py>, event: &Event<'_>, offset: u64) -> PyResult<Bound<'py, PyTuple>> {
        let reason = match event.what {
            What::Missed(reason) => Some(reason.name()),
            What::Login | What::Logout | What::Ending(_) => None,
        };
        (
            offset + event.line as u64,
            kind(py, event.what),
            event.address.map(pbs_core::Address::text),
            event.timestamp,
            self.catalogue.format_name(event.format),
            event.user.as_deref().map(|user| text(py, user)),
            text(py, event.host),
            event.session.as_deref().map(|session| text(py, session)),
            event.tls,
            event.looped,
            reason,
        )
            .into_pyobject(py)
    }
}
