"""The old Perl configuration as TOML: `pbs-fast import-config`.

`evaluate` runs the file with perl, `patterns` finds regular expressions that the catalogue already covers, `convert`
writes the result.
"""
