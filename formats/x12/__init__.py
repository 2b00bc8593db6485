"""X12 (005010): segments of a file in constant memory, one transaction set as a message, segments to write.

delimiters  what ISA declares           reader   the segments of a file of any length
segment     elements and components     message  one set in an interchange of its own
write       segments of our own
"""

from formats.x12.delimiters import STANDARD, Delimiters, read_isa
from formats.x12.message import Message, parse
from formats.x12.reader import LONGEST, segments
from formats.x12.segment import Segment, segment_id
from formats.x12.write import clean, segment

__all__ = [
    "LONGEST",
    "STANDARD",
    "Delimiters",
    "Message",
    "Segment",
    "clean",
    "parse",
    "read_isa",
    "segment",
    "segment_id",
    "segments",
]
