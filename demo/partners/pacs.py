"""The picture archive: a DICOM storage SCP, DCMTK's `storescp` if it is installed, else pynetdicom.

accept: stores; error: refuses every association; silent: stores nothing and answers only after two minutes;
garbage: breaks the association off in the middle of an image.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from demo.partners.role import ends_on_sigterm, free_port, options, program, ready, tell, until_told

SWITCHES = {"accept": [], "error": ["--refuse"], "silent": ["--sleep-during", "120"]}
SWITCHES["garbage"] = ["--abort-during"]


def dcmtk(folder: Path, title: str, port: int, behave: str) -> None:
    """`storescp`, which calls `echo` for each instance that it has stored."""
    told = ["--exec-sync", "--exec-on-reception", "echo stored #f"]
    command = ["storescp", "-aet", title, "-od", str(folder), *told, *SWITCHES[behave], "+xa", str(port)]
    with program(command, port) as running:
        ready(pacs=port, title=title)
        assert running.stdout
        for line in running.stdout:
            if line.startswith("stored "):
                told_of(line.split()[1])


def told_of(name: str) -> None:
    """A file is named by the kind of image and the instance: `CR.1.2.826...`."""
    tell("pacs", instance=name.partition(".")[2])


def python(folder: Path, title: str, port: int, behave: str) -> None:
    from pynetdicom import AE, AllStoragePresentationContexts, evt

    def store(event: evt.Event) -> int:
        if behave == "garbage":
            event.assoc.abort()
        if behave == "silent":
            time.sleep(120)
        data: Any = event.dataset
        data.file_meta = event.file_meta
        data.save_as(folder / f"XX.{data.SOPInstanceUID}", enforce_file_format=True)
        told_of(f"XX.{data.SOPInstanceUID}")
        return 0x0000

    entity = AE(ae_title=title)
    entity.require_called_aet = behave == "error"
    for context in AllStoragePresentationContexts:
        if context.abstract_syntax:
            entity.add_supported_context(context.abstract_syntax)
    ends_on_sigterm()
    if behave == "error":
        entity.require_calling_aet = ["NOBODY"]
    entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    ready(pacs=port, title=title)
    try:
        until_told()
    finally:
        entity.shutdown()


def main() -> None:
    parser = options(__doc__, "accept", "error", "silent", "garbage")
    parser.add_argument("--folder", type=Path, help="where images go; default: a folder that is thrown away")
    parser.add_argument("--title", default="PACS", help="AE title")
    parser.add_argument("--port", type=int, help="default: a free one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chartwire-pacs-") as thrown:
        serve = dcmtk if shutil.which("storescp") else python
        serve(given.folder or Path(thrown), given.title, given.port or free_port(), given.behave)


if __name__ == "__main__":
    main()
