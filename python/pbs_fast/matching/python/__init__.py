"""The Python backend: same results as the Rust backend, with a design that suits `re` (docs/MATCHING.md).

One regex per layout runs over the whole buffer with `finditer` and stops only at lines whose tag some format knows; no
objects are created for other lines. It uses only the standard library and the package's data types.
"""
