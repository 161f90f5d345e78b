"""Conditional variational autoencoders for text-to-image generation, built to be read."""

import os
from importlib.metadata import PackageNotFoundError, version

# Threads that spin while they wait stop a busy machine; OpenMP reads this when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("words-to-pictures")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"
