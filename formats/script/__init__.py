"""NCPDP SCRIPT in XML: read without entities, edited where it must be, written small. Syntax only.

Built and checked against public samples; the schemas are the NCPDP members'.
"""

from formats.script.build import Header, error, message, status
from formats.script.message import VERSION, Message, parse

__all__ = ["VERSION", "Header", "Message", "error", "message", "parse", "status"]
