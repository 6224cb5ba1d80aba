"""``python -m gatedrnn``: the ``gatedrnn`` command."""

import sys

from gatedrnn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
