"""The hospital information system: ADT over MLLP. `python -m demo.hospital HOST:PORT`"""

import sys

from demo.sender import play

if __name__ == "__main__":
    play("adt", sys.argv[1])
