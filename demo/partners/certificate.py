"""A certificate for this machine, made for one showing and thrown away after it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def make(folder: Path) -> tuple[Path, Path] | None:
    """(certificate, key) in PEM files, by OpenSSL; None if that is not installed."""
    if not shutil.which("openssl"):
        return None
    certificate, key = folder / "partner.crt", folder / "partner.key"
    what = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", *what, *names, "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o600)
    return certificate, key
