"""`python -m arkd`."""

import sys

from arkd.cli.main import main

sys.exit(main())
