"""Conditional variational autoencoders for text-to-image generation, built to be read."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("words-to-pictures")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"
