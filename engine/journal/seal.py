"""Encryption at rest: the keys of an installation, and files that are sealed with them.

`CHARTWIRE_KEY_FILE` names a file of keys, 64 hexadecimal digits a line, the newest first: with that everything is
written, with all of them it is read. Each purpose has a key of its own, derived from them (RFC 5869).

A sealed file is `CWS1`, the mark of its key, a salt, then chunks of AES-256-GCM (NIST SP 800-38D) under a key derived
for that file: the nonce is the number of the chunk, and the last one says that it is, so that nothing can be cut off,
exchanged or put elsewhere unnoticed.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"CWS1"
MARK, SALT, TAG = 8, 16, 16
HEADER = len(MAGIC) + MARK + SALT
CHUNK = 64 * 1024
LAST, MORE = b"last", b"more"


class BadKeys(Exception):
    """The key file is not what it must be; the text says what is wrong, and nothing of a key."""


def derived(key: bytes, purpose: bytes, salt: bytes = b"") -> bytes:
    return HKDF(SHA256(), 32, salt, b"chartwire " + purpose).derive(key)


@dataclass(frozen=True, slots=True)
class Keys:
    """The newest first; none: nothing is encrypted."""

    keys: Sequence[bytes] = field(default=(), repr=False)

    def database(self) -> list[str]:
        """The keys of the database in hexadecimal, the newest first."""
        return [derived(key, b"database").hex() for key in self.keys]

    def marked(self, mark: bytes) -> bytes | None:
        return next((key for key in self.keys if _mark(key) == mark), None)


def read_keys(path: str | None) -> Keys:
    """The keys of a file. Raises BadKeys."""
    if not path:
        return Keys()
    try:
        lines = Path(path).read_text("ascii").split()
        found = [bytes.fromhex(line) for line in lines]
    except (OSError, ValueError) as e:
        raise BadKeys(f"the key file {path} cannot be read: {type(e).__name__}") from e
    if not found or any(len(key) != 32 for key in found):
        raise BadKeys(f"the key file {path} must hold keys of 64 hexadecimal digits, one a line")
    if os.stat(path).st_mode & 0o077:
        raise BadKeys(f"others can read the key file {path}; chmod 600 it")
    return Keys(found)


def _mark(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=MARK, person=b"chartwire key").digest()


class Sealing(io.RawIOBase):
    """Seals what is written into `file`. What was written is whole when it is closed."""

    def __init__(self, file: IO[bytes], key: bytes) -> None:
        self._file = file
        self.name = file.name
        salt = os.urandom(SALT)
        self._cipher = AESGCM(derived(key, b"file", salt))
        self._waiting = bytearray()
        self._number = 0
        file.write(MAGIC + _mark(key) + salt)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._waiting += data
        while len(self._waiting) > CHUNK:
            self._seal(bytes(self._waiting[:CHUNK]), MORE)
            del self._waiting[:CHUNK]
        return len(data)

    def _seal(self, data: bytes, which: bytes) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number), data, which))
        self._number += 1

    def close(self) -> None:
        if not self.closed:
            try:
                self._seal(bytes(self._waiting), LAST)
            finally:
                self._file.close()
                super().close()


class Sealed(io.RawIOBase):
    """What was sealed in a file, from any place. OSError: it is not as it was written, or no key fits."""

    def __init__(self, file: IO[bytes], keys: Keys) -> None:
        self._file = file
        header = file.read(HEADER)
        key = keys.marked(header[len(MAGIC) : len(MAGIC) + MARK])
        if key is None:
            raise OSError("no key fits")
        self._cipher = AESGCM(derived(key, b"file", header[-SALT:]))
        whole = os.fstat(file.fileno()).st_size - HEADER
        self._chunks = max(1, -(-whole // (CHUNK + TAG)))
        self.size = whole - self._chunks * TAG
        self._at = 0
        self._number, self._data = -1, b""
        self._chunk(self._chunks - 1)  # whoever cuts something off, cuts this one

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        number, start = divmod(self._at, CHUNK)
        if self._at >= self.size and self.size:
            return 0
        piece = self._chunk(number)[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _chunk(self, number: int) -> bytes:
        if number != self._number:
            self._file.seek(HEADER + number * (CHUNK + TAG))
            which = LAST if number == self._chunks - 1 else MORE
            try:
                self._data = self._cipher.decrypt(_nonce(number), self._file.read(CHUNK + TAG), which)
            except InvalidTag:
                raise OSError("the file is not as it was written") from None
            self._number = number
        return self._data

    def close(self) -> None:
        self._file.close()
        super().close()


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def opened(path: Path, keys: Keys) -> IO[bytes]:
    """A file for reading, sealed or not. OSError."""
    file = path.open("rb")
    sealed = file.read(len(MAGIC)) == MAGIC
    file.seek(0)
    return cast(IO[bytes], io.BufferedReader(Sealed(file, keys), CHUNK)) if sealed else file


def current(path: Path, keys: Keys) -> bool:
    """Is the file as it would be written now?"""
    with path.open("rb") as file:
        header = file.read(HEADER)
    newest = MAGIC + _mark(keys.keys[0]) if keys.keys else None
    return header.startswith(newest) if newest else not header.startswith(MAGIC)
