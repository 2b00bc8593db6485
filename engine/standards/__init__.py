"""What the engine asks of a message of each standard: what kind it is, when it was said, of whom it speaks.

One file a standard; each registers a `Format` under the name that channels use.
"""
