"""An MQTT broker of our own: Mosquitto on a free port of this machine (`apt-get install mosquitto`)."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from demo.partners.role import free_port, options, program, ready, until_told


def found() -> str | None:
    """Debian has it in a folder that is not everybody's PATH."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def main() -> None:
    parser = options(__doc__, "accept")
    parser.add_argument("--port", type=int, help="default: a free one")
    given = parser.parse_args()
    if (mosquitto := found()) is None:
        sys.exit("mosquitto is not installed: apt-get install mosquitto")
    port = given.port or free_port()
    with tempfile.TemporaryDirectory(prefix="chartwire-broker-") as place:
        settings = Path(place) / "mosquitto.conf"
        settings.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\n"
        )
        with program([mosquitto, "-c", str(settings)], port):
            ready(broker=port)
            until_told()


if __name__ == "__main__":
    main()
