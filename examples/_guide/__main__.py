"""`python -m _guide` is the `guide` command."""

import sys

from _guide.cli import main

if __name__ == "__main__":
    sys.exit(main())
