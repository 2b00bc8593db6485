"""NCPDP SCRIPT in XML: read without entities, edited where it must be, written small. Syntax only.

Built and checked against public samples; the schemas are the NCPDP members'.
"""

from formats.script.build import Header, error, message, status
from formats.script.head import Head, head
from formats.script.message import VERSION, Message, parse

__all__ = ["VERSION", "Head", "Header", "Message", "error", "head", "message", "parse", "status"]
