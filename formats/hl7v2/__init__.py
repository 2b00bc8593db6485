"""HL7 v2, the ER7 encoding: a lazy view that keeps every byte, paths, escapes, character sets, timestamps."""

from formats.hl7v2.charset import codec
from formats.hl7v2.escape import Undecodable, Unencodable, escape
from formats.hl7v2.leaves import Leaf
from formats.hl7v2.null import NULL, Null
from formats.hl7v2.path import Path, path
from formats.hl7v2.segment import Segment
from formats.hl7v2.separators import STANDARD, Separators
from formats.hl7v2.timestamp import Timestamp, timestamp, written
from formats.hl7v2.view import Message, parse

__all__ = [
    "NULL",
    "STANDARD",
    "Leaf",
    "Message",
    "Null",
    "Path",
    "Segment",
    "Separators",
    "Timestamp",
    "Undecodable",
    "Unencodable",
    "codec",
    "escape",
    "parse",
    "path",
    "timestamp",
    "written",
]
