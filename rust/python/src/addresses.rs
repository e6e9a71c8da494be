//! Addresses, many at once.

use pbs_core::Address;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

/// Those that may be in a network, or are no canonical addresses.
#[pyfunction]
#[pyo3(signature = (ips, begins4, begins6, /))]
pub(crate) fn near_addresses<'py>(
    ips: &Bound<'py, PyList>,
    begins4: &[u8],
    begins6: &[u8],
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if begins4.len() != 256 || begins6.len() != 256 {
        return Err(PyValueError::new_err("a mark for each first byte"));
    }
    let mut near = Vec::new();
    for ip in ips {
        // A lone surrogate is no UTF-8, and no address.
        let text = ip.cast::<PyString>()?.to_str().unwrap_or_default();
        let is_near = match Address::canonical(text) {
            Some(address) if address.is_v4() => begins4[usize::from(address.first())] != 0,
            Some(address) => begins6[usize::from(address.first())] != 0,
            None => true,
        };
        if is_near {
            near.push(ip);
        }
    }
    Ok(near)
}
