"""Train the shipped models from scratch and write their weights and records.

    python benchmarks/pretrain.py                        # all of them, judges first
    python benchmarks/pretrain.py fashion-concat-sigma   # one

A run that is stopped goes on where it was; its checkpoints lie in runs/.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cvae_lib.pretrained import (
    RECIPES,
    library_commit,
    publish,
    recipe_data,
    recipe_of,
    train_recipe,
)


def main(names: list[str]) -> None:
    commit = library_commit()
    for name in names or list(RECIPES):
        train, valid = recipe_data(name, "train"), recipe_data(name, "valid")
        model, history = train_recipe(
            name,
            train,
            valid,
            checkpoint=Path("runs") / f"{name}.safetensors",
            on_epoch=lambda row: print({k: round(v, 3) for k, v in row.items()}, flush=True),
        )
        test = recipe_data(name, "test")
        written = publish(name, model, history, recipe_of(name).config, train, test, commit)
        print(name, written["metrics"], flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
