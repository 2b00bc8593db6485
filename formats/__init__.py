"""Bytes <-> tree: syntax only, no I/O, no meaning. One folder per format, each with a `parse`."""
