"""The laboratory: ORU over MLLP. `python -m demo.laboratory HOST:PORT`"""

import sys

from demo.sender import play

if __name__ == "__main__":
    play("lab_results", sys.argv[1])
