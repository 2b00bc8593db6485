"""DICOM: the header of a file of any size, one data set as a message, dates and times.

encoding  transfer syntaxes, the head of an element    stream   elements of any size in little memory
file      Part 10 files and their headers              charset  Specific Character Set, strictly
message   a data set by its keywords                   moment   DA, TM and DT as instants and as FHIR
"""

from formats.dicom.charset import Undecodable
from formats.dicom.encoding import Broken
from formats.dicom.file import BROKEN, NOT_DICOM, Meta, header, read_meta, wrapped
from formats.dicom.message import Item, Message, keyword, parse, sop_class_name, tag, vr
from formats.dicom.moment import date, moment

__all__ = [
    "BROKEN",
    "NOT_DICOM",
    "Broken",
    "Item",
    "Message",
    "Meta",
    "Undecodable",
    "date",
    "header",
    "keyword",
    "moment",
    "parse",
    "read_meta",
    "sop_class_name",
    "tag",
    "vr",
    "wrapped",
]
