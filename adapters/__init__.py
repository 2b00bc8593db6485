"""Wires: one folder each with its source, its destination and its acknowledgements."""
