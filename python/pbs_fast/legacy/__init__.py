"""The old Perl configuration as TOML: `pbs-fast import-config`.

`evaluate` lets perl run the file, `patterns` tells which of its regular expressions the catalogue knows already,
`convert` writes what the rest means. Used by its command only.
"""
