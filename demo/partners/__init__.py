"""The partners of one patient's story, a program each: `python -m demo.partners.pharmacy --behave late`.

Each prints JSON lines: `{"ready": {...}}` with its addresses if it listens, then one for each thing that
happens, named by `at`. A listener ends with its standard input or SIGTERM, an actor when it is done.
"""
