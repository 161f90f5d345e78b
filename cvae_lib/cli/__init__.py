"""The command line. PyTorch is imported inside the commands: ``--help`` answers at once."""

import io
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from cvae_lib.files import DataError

UsageError: Any = typer.BadParameter.__base__  # click's; newer typer carries click inside
EXAMPLES = """
train fashion-concat-sigma --epochs 5 --seed 1 --out runs/mine.safetensors
train text --scenes 20000 --epochs 10
train text --coco ~/coco --split train2017 --size 128 --encoder clip
evaluate runs/fashion-concat.safetensors --images 1000
sample "two dark hoodies and a wide bag" --out picture.png
sample "long dresses" --out dresses.png --n 8 --temperature 0.8
sample "a red circle above a blue square" --out scene.png --model scenes-attend
data coco --download val2017
data coco --root scenes --split train
data scenes --out scenes --count 50000 --size 64
info
"""


def examples(command: str) -> str:
    lines = [line for line in EXAMPLES.splitlines() if line.startswith(command)]
    return "\n\n".join(["Examples:", *(f"python -m cvae_lib {line}" for line in lines)])


app = typer.Typer(
    help="Conditional variational autoencoders that draw pictures from words.",
    epilog=examples("sample"),
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done. 1: the training diverged. 2: bad input, with one line on stderr. 130: Ctrl-C.
    """
    from cvae_lib.cli import commands  # noqa: F401 - they join the app

    arguments = list(sys.argv[1:] if argv is None else argv)
    arguments += ["--help"] if arguments in ([], ["data"]) else []
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no arrow
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: complain(str(message))
        try:
            return app(arguments, standalone_mode=False) or 0
        except UsageError as error:
            return complain(f"{error.format_message()} (see python -m cvae_lib --help)", 2)
        except (KeyboardInterrupt, typer.Abort):
            return 130
        except FloatingPointError as error:  # a NonFiniteLossError
            return complain(str(error), 1)
        except (ValueError, OSError, ImportError, DataError) as error:
            return complain(str(error), 2)


def complain(message: str, code: int = 0) -> Any:
    """Say ``message`` in one line on stderr, of several processes by which; return ``code``."""
    rank = os.environ.get("RANK", "0")
    speaker = "cvae" if rank == "0" else f"cvae, process {rank}"
    typer.echo(f"{speaker}: {' '.join(message.split())}", err=True)
    return code


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print so many columns of the rows, without a header if they have no names."""
    table = Table(*columns, title=title, title_justify="left", show_header=any(columns))
    for row in rows:
        table.add_row(*row[: len(columns)])
    Console(markup=False, emoji=False).print(table)  # a path may hold brackets


def device_called(name: str | None = None) -> Any:
    """The device called ``name``; without a name the GPU if there is one, of several its own."""
    import torch

    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if name == "cuda" else name
    try:
        torch.ones(1, device=name).item()  # "meta" has no numbers
    except (RuntimeError, AssertionError, ImportError) as error:
        why = str(error).partition("\n")[0]
        raise ValueError(f"no device {name!r} here ({why}): choose cpu, cuda or mps") from error
    return torch.device(name)
