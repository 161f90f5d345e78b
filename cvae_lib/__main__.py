"""``python -m cvae_lib``, and the console script ``cvae``."""

import sys

from cvae_lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
