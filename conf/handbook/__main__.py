"""Let `python -m handbook` be the command line."""

import sys

from handbook.cli import main

sys.exit(main(sys.argv[1:]))
