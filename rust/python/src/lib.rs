//! The binding of `pbs-core` to Python: translation only.
//!
//! One place releases the interpreter (`detached`), one maps errors (`refuse`). Texts are bytes until they are handed
//! to Python, where what is no UTF-8 becomes U+FFFD. The meaning of everything is in `python/pbs_fast/_core.pyi`.

// PyO3 hands arguments over by value, and keyword arguments are arguments.
#![allow(clippy::needless_pass_by_value, clippy::too_many_arguments)]

mod addresses;
mod columns;
mod convert;
mod matcher;
mod postfix;
mod shared;
mod stream;

use pyo3::prelude::*;

/// The native backend of the matcher.
#[pymodule(gil_used = false)]
mod _core {
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::addresses::near_addresses;
    #[pymodule_export]
    use super::matcher::{Matcher, Scan};
    #[pymodule_export]
    use super::postfix::{PostfixLines, PostfixScan};
    #[pymodule_export]
    use super::shared::{doubtful_rows, shared_lists, shared_rows};
    #[pymodule_export]
    use super::stream::Stream;

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

    /// Where the lines of data[start..stop] begin that begin like no header.
    #[pyfunction]
    #[pyo3(signature = (data, start, stop, /))]
    fn unusual_begins(data: &[u8], start: usize, stop: usize) -> PyResult<Vec<usize>> {
        let refused = || PyValueError::new_err(format!("unusual_begins: {start}..{stop} is not within the data"));
        let lines = data.get(start..stop).ok_or_else(refused)?;
        Ok(pbs_core::unusual_begins(lines).into_iter().map(|begin| start + begin).collect())
    }

    /// Why a pattern is not one-pass.
    #[pyfunction]
    fn one_pass(pattern: &str) -> PyResult<Option<String>> {
        pbs_core::one_pass(pattern).map_err(PyValueError::new_err)
    }
}
