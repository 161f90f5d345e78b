"""The command line: train, sample, evaluate, data, info; a file for each.

PyTorch is imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

import typer

from cvae_lib.cli.common import complain, examples
from cvae_lib.cli.data import data
from cvae_lib.cli.info import info
from cvae_lib.cli.sample import sample
from cvae_lib.cli.train import evaluate, train

UsageError: Any = typer.BadParameter.__base__  # click's; newer typer carries click inside

app = typer.Typer(
    help="Conditional variational autoencoders that draw pictures from words.",
    epilog=examples('sample "two hoodies and a handbag" --out picture.png', "sample --help"),
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command(
    epilog=examples(
        "train fashion-concat --epochs 5",
        "train fashion-concat-sigma --out runs/mine.safetensors --seed 1",
        "train text --scenes 20000 --epochs 10",
        "train text --coco ~/coco --split train2017 --size 128 --encoder clip",
    )
)(train)
app.command(
    epilog=examples(
        'sample "two hoodies and a handbag" --out picture.png',
        'sample "a red dress" --out dress.png --n 8 --temperature 0.8',
        'sample "boots" --out boots.png --model runs/mine.safetensors',
        'sample "a red circle above a blue square" --out scene.png --model runs/text.safetensors',
    )
)(sample)
app.command(
    epilog=examples(
        "evaluate fashion-concat", "evaluate runs/fashion-concat.safetensors --images 1000"
    )
)(evaluate)
app.add_typer(data, name="data")
app.command(epilog=examples("info"))(info)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done. 1: the training diverged. 2: bad input, with one line on stderr. 130: Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no arrow
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = app(arguments, standalone_mode=False)
        except UsageError as error:
            return complain(
                f"{error.format_message().rstrip('.')}. See python -m cvae_lib --help.", 2
            )
        except (KeyboardInterrupt, typer.Abort):
            return 130
        except Exception as error:
            return complain(str(error), _exit_code(error))
    return code if isinstance(code, int) else 0


def _exit_code(error: Exception) -> int:
    """The exit code for a user's mistake or a diverged training; anything else is raised."""
    from cvae_lib.checkpoint import CheckpointError
    from cvae_lib.data import DataError
    from cvae_lib.train import NonFiniteLossError

    if isinstance(error, NonFiniteLossError):
        return 1
    if isinstance(error, (ValueError, OSError, DataError, CheckpointError)):
        return 2
    raise error


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """What `warnings.showwarning` does, in one line and without the place in the code."""
    complain(str(message))
