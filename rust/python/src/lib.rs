//! The binding of `pbs-core` to Python: translation only.
//!
//! One place releases the interpreter (`detached`), one maps errors (`refuse`). Texts are bytes until they are handed
//! to Python, where what is no UTF-8 becomes U+FFFD. The meaning of everything is in `python/pbs_fast/_core.pyi`.

// PyO3 hands arguments over by value, and keyword arguments are arguments.
#![allow(clippy::needless_pass_by_value, clippy::too_many_arguments)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pbs_core::{Catalogue, Error, Event, FormatSpec, Layout, Row, Rows, What};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList, PyNone, PyString, PyTuple};
use pyo3::{exceptions::PyValueError, intern, marker::Ungil};

pyo3::import_exception!(pbs_fast.errors, FormatError);

/// Runs `work` while other Python threads may run.
fn detached<T: Ungil + Send>(py: Python<'_>, work: impl FnOnce() -> T + Ungil + Send) -> T {
    py.detach(work)
}

fn refuse(error: &Error) -> PyErr {
    let line = error.to_string();
    if *error == Error::Zone { PyValueError::new_err(line) } else { FormatError::new_err(line) }
}

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
struct Matcher(Arc<Catalogue>);

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

fn layout_of(catalogue: &Catalogue, name: &str) -> PyResult<Layout> {
    let unknown = || PyValueError::new_err(format!("layout {name:?}: no format has a log of its own by this name"));
    catalogue.layout(name).ok_or_else(unknown)
}

/// Events of one piece of a source; keeps its bytes.
#[pyclass(frozen, module = "pbs_fast._core")]
struct Scan {
    found: pbs_core::Scan,
    catalogue: Arc<Catalogue>,
    data: PyBackedBytes,
    start: usize,
    stop: usize,
    offset: u64,
    #[pyo3(get)]
    seconds: f64,
}

#[pymethods]
impl Scan {
    #[getter]
    fn lines(&self) -> u64 {
        self.found.lines()
    }
}

impl Scan {
    fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.stop]
    }
}

/// The ordered half, for one source.
#[pyclass(frozen, module = "pbs_fast._core")]
struct Stream {
    catalogue: Arc<Catalogue>,
    state: Mutex<(pbs_core::Stream, Duration)>,
}

#[pymethods]
impl Stream {
    #[new]
    #[pyo3(signature = (matcher, *, gap, live = false, fold = true))]
    fn new(matcher: &Matcher, gap: Option<i64>, live: bool, fold: bool) -> PyResult<Self> {
        if let Some(gap) = gap.filter(|&gap| gap < 0) {
            return Err(PyValueError::new_err(format!("gap {gap}: give seconds, 0 or more")));
        }
        let catalogue = Arc::clone(&matcher.0);
        let stream = pbs_core::Stream::new(Arc::clone(&catalogue), gap.unwrap_or(pbs_core::NO_GAP), live, fold);
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
        let columns = self.row_columns(py, &rows)?;
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

    /// The columns of `pbs_fast.events.Batch` after `source`, in its order; none without rows.
    fn row_columns<'py>(&self, py: Python<'py>, rows: &Rows) -> PyResult<Bound<'py, PyTuple>> {
        if rows.rows.is_empty() {
            return Ok(PyTuple::empty(py));
        }
        let hosts: Vec<_> = rows.hosts.iter().map(|host| text(py, host)).collect();
        let formats: Vec<_> = self.catalogue.format_names().map(|name| PyString::new(py, name)).collect();
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
        let (sessions, processes) = if rows.folded() {
            (repeated(py.None().into_bound(py), len)?, repeated(intern!(py, "").clone().into_any(), len)?)
        } else {
            let process = |row: usize| text(py, rows.process(row));
            (
                PyList::new(py, all.iter().map(|row| optional(rows.session(row))))?,
                PyList::new(py, (0..len).map(process))?,
            )
        };
        PyTuple::new(
            py,
            [
                PyList::new(py, all.iter().map(&mut address))?,
                PyList::new(py, firsts)?,
                PyList::new(py, lasts)?,
                PyList::new(py, all.iter().map(|row| row.n))?,
                PyList::new(py, all.iter().map(kind))?,
                PyList::new(py, all.iter().map(|row| &formats[usize::from(row.format)]))?,
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
}

/// Finds the lines of Postfix that say something about a message.
#[pyclass(frozen, module = "pbs_fast._core")]
struct PostfixLines {
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
struct PostfixScan {
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

/// The bounds of a part of some bytes, None where they are outside.
fn within(len: usize, start: isize, stop: Option<isize>) -> Option<(usize, usize)> {
    let index = |at: isize| usize::try_from(at).ok();
    index(start).zip(stop.map_or(Some(len), index)).filter(|&(start, stop)| start <= stop && stop <= len)
}

/// A list of one object, `len` times.
fn repeated(object: Bound<'_, PyAny>, len: usize) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::new(object.py(), [&object])?.as_sequence().repeat(len)?;
    Ok(list.into_any().cast_into()?)
}

fn text<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    PyString::from_bytes(py, bytes).unwrap_or_else(|_| PyString::new(py, &String::from_utf8_lossy(bytes)))
}

fn kind(py: Python<'_>, what: What) -> Bound<'_, PyString> {
    match what {
        What::Login => intern!(py, "login").clone(),
        What::Logout => intern!(py, "logout").clone(),
        What::Ending(ending) => PyString::intern(py, ending.name()),
        What::Missed(_) => intern!(py, "missed").clone(),
    }
}

/// The native backend of the matcher.
#[pymodule(gil_used = false)]
mod _core {
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;
    use pyo3::types::PyTuple;

    #[pymodule_export]
    use super::{Matcher, PostfixLines, PostfixScan, Scan, Stream};

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    #[pymodule_export]
    const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };
    #[pymodule_export]
    const MAX_LINE: usize = pbs_core::MAX_LINE;
    #[pymodule_export]
    const MAX_AHEAD: i64 = pbs_core::MAX_AHEAD;
    #[pymodule_export]
    const MAX_USERS: u32 = pbs_core::MAX_USERS;

    /// What another node's message of rows holds, if it has the writer's form.
    #[pyfunction]
    #[pyo3(signature = (m, rows, run, user, format, host, /))]
    fn shared_rows<'py>(
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
            Some(found) => super::shared(py, &found).map(Some),
            None => Ok(None),
        }
    }

    /// Why a pattern is not one-pass.
    #[pyfunction]
    fn one_pass(pattern: &str) -> PyResult<Option<String>> {
        pbs_core::one_pass(pattern).map_err(PyValueError::new_err)
    }
}
