"""Answering requests on a listening socket."""
