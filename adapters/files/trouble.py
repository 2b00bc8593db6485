"""What the operating system said of a file, in words for the one who can help; never a file's name."""

from __future__ import annotations

import errno

from formats.reason import Reason

_KNOWN = {
    errno.ENOSPC: ("disk-full", "no space is left there; free some"),
    errno.EDQUOT: ("disk-full", "the quota there is used up; free some"),
    errno.EFBIG: ("disk-full", "no file of that size is allowed there"),
    errno.EACCES: ("not-permitted", "permission denied; let the engine's user read and write there"),
    errno.EPERM: ("not-permitted", "permission denied; let the engine's user read and write there"),
    errno.EROFS: ("not-permitted", "the disk is read-only"),
    errno.ENOENT: ("no-folder", "the folder does not exist; create it or mount its disk"),
    errno.ENOTDIR: ("no-folder", "that is not a folder"),
    errno.EXDEV: ("other-disk", "archive and failed must be on the same disk as the folder"),
}


def trouble(error: OSError) -> Reason:
    """The reason of this error."""
    name = errno.errorcode.get(error.errno or 0, "no number")
    code, text = _KNOWN.get(error.errno or 0, ("file-trouble", "the operating system refused"))
    return Reason(code, f"{text} ({name})")
