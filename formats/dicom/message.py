"""One data set as a message: a frozen view on its bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

from formats.dicom.charset import Undecodable, codecs, decoded
from formats.dicom.encoding import ITEM, ITEM_END, LITTLE_IMPLICIT, UNDEFINED, Broken, Encoding, encoding
from formats.dicom.file import BROKEN, MOST, NOT_DICOM, Meta, read_meta
from formats.dicom.stream import DEEPEST, Elements, Inflated, Plain
from formats.reason import Reason

_CHARSET = 0x00080005
_TEXTS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_WHOLE = frozenset(("LT", "ST", "UT"))  # a backslash in them is one (PS3.5 6.4)
_TELLING = frozenset((0x0008, 0x0010, 0x0020, 0x0032, 0x0038, 0x0040))
"""Groups that say who, what and why; what is said elsewhere is not read."""
_INFLATED_MOST = 64 << 20

Value = bytes | tuple["Item", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One data set: the message's own, or an item of a sequence. Attributes go by their keywords (PS3.6)."""

    values: Mapping[int, tuple[str, Value]]
    charsets: Sequence[str]

    def __contains__(self, keyword: str) -> bool:
        return tag(keyword) in self.values

    def keywords(self) -> list[str]:
        """Of all attributes that the dictionary knows, in the order of their tags."""
        return [name for t in sorted(self.values) if (name := keyword(t))]

    def texts(self, keyword: str) -> list[str]:
        """The values without padding; a blank one is "". Raises Undecodable."""
        vr, value = self.values.get(tag(keyword), ("", b""))
        if isinstance(value, tuple):
            return []
        return self._texts(tag(keyword), vr, value, keyword)

    def _texts(self, number: int, vr: str, value: bytes, place: str) -> list[str]:
        vr = _known(number, vr)
        try:
            text = decoded(value, self.charsets if vr in _TEXTS else ("ascii",))
        except (UnicodeError, LookupError):
            raise Undecodable(place) from None
        parts = [text] if vr in _WHOLE else text.split("\\")
        return [part.strip(" \0\r\n\t") for part in parts] if text else []

    def text(self, keyword: str) -> str:
        """The first value, "" if there is none. Raises Undecodable."""
        return next(iter(self.texts(keyword)), "")

    def items(self, keyword: str) -> tuple[Item, ...]:
        """The items of a sequence."""
        _, value = self.values.get(tag(keyword), ("", ()))
        return value if isinstance(value, tuple) else ()

    def undecodable(self) -> str | None:
        """Where a byte of what is read has no character, if anywhere."""
        for number, (vr, value) in self.values.items():
            if number >> 16 not in _TELLING:
                continue
            place = keyword(number) or f"({number >> 16:04X},{number & 0xFFFF:04X})"
            if isinstance(value, tuple):
                if found := next((f for item in value if (f := item.undecodable())), None):
                    return f"{place}.{found}"
            elif _known(number, vr) in _TEXTS:
                try:
                    self._texts(number, vr, value, place)
                except Undecodable:
                    return place
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Message(Item):
    """A file without its pixels, or a query. `raw` is the whole of it."""

    raw: bytes
    meta: Meta

    @property
    def kind(self) -> str:
        """The name of its SOP class in PS3.6, without "Storage"."""
        return sop_class_name(self.meta.sop_class)


def parse(body: bytes, *, charset: str = "") -> Message | Reason:
    """Read a file without pixels (`header`), or a query (`wrapped`).

    `charset` is the Specific Character Set of data sets that name none (PS3.3 C.12.1.1.2), such as ISO_IR 100.
    """
    file = BytesIO(body)
    try:
        meta = read_meta(file)
    except Broken:
        return NOT_DICOM
    how = encoding(meta.transfer_syntax)
    try:
        found = _tree(_data(file, how), how, 0)
    except Broken:
        return BROKEN
    names = _names(found) or ((charset,) if charset else ())
    charsets = codecs(names)
    if charsets is None:
        text = "the Specific Character Set is none of PS3.3 C.12.1.1.2; it may be corrected at the source"
        return Reason("unknown-charset", text, "SpecificCharacterSet")
    try:
        return Message(_frozen(found, charsets), charsets, body, meta)
    except Undecodable as wrong:
        return Reason("unknown-charset", "the Specific Character Set of an item is unknown", wrong.place)


def _data(file: BytesIO, how: Encoding) -> bytes:
    """The data set; a deflated one that is bigger than any header is broken."""
    if not how.deflated:
        return file.read()
    data = Inflated(file).read(_INFLATED_MOST)
    if len(data) == _INFLATED_MOST:
        raise Broken
    return data


_Tree = dict[int, "tuple[str, bytes | list[_Tree]]"]


def _tree(data: bytes, how: Encoding, depth: int) -> _Tree:
    """The elements of a data set, sequences taken apart; nothing private."""
    if depth > DEEPEST:
        raise Broken
    elements = Elements(Plain(BytesIO(data)), how)
    found: _Tree = {}
    while elements.more():
        each = elements.next()
        if each.tag == ITEM_END:
            break
        value = elements.value(each, MOST)
        if value is None or each.tag >> 16 & 1:
            continue
        vr = each.vr or dictionary_vr(each.tag)
        inner = LITTLE_IMPLICIT if vr == "UN" else how
        sequence = vr == "SQ" or (vr == "UN" and each.length == UNDEFINED)
        found[each.tag] = (vr, _items(value, inner, depth + 1) if sequence else value)
    return found


def _items(data: bytes, how: Encoding, depth: int) -> list[_Tree]:
    elements = Elements(Plain(BytesIO(data)), how)
    found = []
    while elements.more():
        item = elements.next()
        if item.tag != ITEM:  # the delimiter of the sequence
            break
        found.append(_tree(_item(elements, item.length, data, how), how, depth))
    return found


def _item(elements: Elements, length: int, data: bytes, how: Encoding) -> bytes:
    return elements.take(length) if length != UNDEFINED else elements.item(len(data))


def _names(found: _Tree) -> tuple[str, ...]:
    _, value = found.get(_CHARSET, ("", b""))
    if not isinstance(value, bytes):
        return ()
    names = tuple(part.strip(" \0") for part in value.decode("latin-1").split("\\"))
    return names if any(names) else ()


def _frozen(found: _Tree, charsets: Sequence[str]) -> Mapping[int, tuple[str, Value]]:
    """An item without a character set of its own has that of what it is in (PS3.5 7.5.3)."""
    return {
        number: (vr, value if isinstance(value, bytes) else tuple(_child(item, charsets) for item in value))
        for number, (vr, value) in found.items()
    }


def _child(found: _Tree, charsets: Sequence[str]) -> Item:
    names = _names(found)
    own = codecs(names) if names else charsets
    if own is None:
        raise Undecodable("SpecificCharacterSet")
    return Item(_frozen(found, own), own)


def walk(item: Item) -> Iterator[Item]:
    """The data set and, depth first, those in it."""
    yield item
    for _, value in item.values.values():
        if isinstance(value, tuple):
            for each in value:
                yield from walk(each)


@lru_cache(maxsize=4096)
def tag(keyword: str) -> int:
    """The tag of a keyword of PS3.6: PatientID is 0x00100020."""
    from pydicom.datadict import tag_for_keyword

    found = tag_for_keyword(keyword)
    if found is None:
        raise ValueError(f"no attribute is called {keyword}")
    return int(found)


@lru_cache(maxsize=4096)
def keyword(number: int) -> str:
    """The keyword of a tag, "" for one that PS3.6 does not have."""
    from pydicom.datadict import keyword_for_tag

    return str(keyword_for_tag(number))


@lru_cache(maxsize=4096)
def dictionary_vr(number: int) -> str:
    """The VR of PS3.6, UN for what it does not have; the first of several."""
    from pydicom.datadict import dictionary_VR

    try:
        return str(dictionary_VR(number)).split(" ")[0]
    except KeyError:
        return "UN"


def vr(keyword: str) -> str:
    """The VR of PS3.6."""
    return dictionary_vr(tag(keyword))


def _known(number: int, vr: str) -> str:
    """The VR that is written, or where it says nothing, that of PS3.6."""
    return dictionary_vr(number) if vr in ("", "UN") else vr


@lru_cache(maxsize=512)
def sop_class_name(uid: str) -> str:
    from pydicom.uid import UID

    name = UID(uid).name
    return "unknown SOP class" if name == uid else name.removesuffix(" Storage")
