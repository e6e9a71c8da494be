"""The daemon: `run(settings)` is `pbs-fast run`.

`assemble` makes the parts from a configuration, `loop` runs them, `reprocess` replays a whole log by its own clock;
`follower` is one log, `publisher` all tables, `explain` the words of our own log. The only package with a clock in its
hands, signals and a loop; knows no log formats and no table formats.
"""
