import sys

from engine.cli import main

if __name__ == "__main__":  # a compute process imports this module again, under another name
    sys.exit(main())
