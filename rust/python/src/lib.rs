//! The binding: translation only.
use pyo3::prelude::*;

/// The native twin of the matcher.
#[pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
