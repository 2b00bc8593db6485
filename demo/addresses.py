"""The configuration's ${NAMES} for one showing: free ports and its own folders, so that two can run side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from demo.children import free_ports

_NAME = re.compile(r"\$\{([A-Z0-9_]+)(?::[^}]*)?\}")


def names(configuration: Path) -> set[str]:
    """Every ${NAME} of the channels and routes."""
    files = [*(configuration / "channels").glob("*.yaml"), configuration / "routes.yaml"]
    return {name for file in files for name in _NAME.findall(file.read_text("utf-8"))}


def ports(configuration: Path) -> dict[str, str]:
    """A free port for everything that the channels listen on."""
    text = "".join(f.read_text("utf-8") for f in (configuration / "channels").glob("*.yaml"))
    wanted = sorted({name for name in _NAME.findall(text) if name.endswith("_PORT")})
    return dict(zip(wanted, map(str, free_ports(len(wanted))), strict=True))


def folders(configuration: Path, place: Path) -> dict[str, str]:
    """A folder of the showing's own for every ${..._DIR}; they are made."""
    return dict(_folders(configuration, place))


def _folders(configuration: Path, place: Path) -> Iterator[tuple[str, str]]:
    for name in sorted(names(configuration)):
        if name.endswith("_DIR"):
            folder = place / name.removesuffix("_DIR").lower()
            folder.mkdir(exist_ok=True)
            yield name, str(folder)
