"""The old Perl configuration as TOML: `pbs-fast import-config`.

`evaluate` lets perl run the file (`perl`: as whom and for how long), `routine` reads its code as patterns where that is
all it does, `formats` and `joined` make formats of them, with `patterns` telling what the catalogue knows already;
`settings`, `store` and `place` are the rest of the file; `convert` writes the TOML and `report` what became of each
thing; `check` compares both line by line. Used by its command only, but for `place`.
"""
