"""What Colab's kernels do before the first cell: ``google.colab`` is imported, with what it needs,
and ``%pip`` calls the pip on the PATH; what it replaced after its import asks for a restart."""

import sys
from importlib.metadata import distributions, packages_distributions

import google.colab
import matplotlib
import numpy
import pandas
from IPython import get_ipython

IMPORTED = (google.colab, matplotlib, numpy, pandas)


def versions() -> dict[str, str]:
    """The version of every package, by its name."""
    return {found.metadata["Name"]: found.version for found in distributions()}


def pip(line: str) -> None:
    """The line magic ``%pip``."""
    before = versions()
    get_ipython().system(f"pip {line}")
    after = versions()
    replaced = {name for name in before if after.get(name) != before[name]}
    stale = {
        module
        for module, owners in packages_distributions().items()
        if module in sys.modules and replaced & set(owners)
    }
    if stale:
        print("Restart the session: replaced after their import were", *sorted(stale))


get_ipython().register_magic_function(pip, "line", "pip")
