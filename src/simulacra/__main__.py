"""`python -m simulacra` is the command line."""

import sys

from simulacra.interfaces.cli import main

sys.exit(main())
