"""``python -m cvae_lib``, and the console script ``cvae``."""

import os
import sys

from cvae_lib.cli import main

# Beside another program, threads on all cores wait for the slowest (benchmarks/busy.py).
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // 2)))

if __name__ == "__main__":
    sys.exit(main())
