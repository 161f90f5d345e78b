"""What `train text` trains: a text-conditional VAE on Scenes or on a COCO folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvae_lib.cli.common import check_images, encoder_called

if TYPE_CHECKING:
    import torch

    from cvae_lib.data import CaptionedSet, TextEncoder
    from cvae_lib.train import History, TrainConfig

PANEL = "Only for train text"


def option(help: str) -> Any:
    return typer.Option(help=help, rich_help_panel=PANEL)


Scenes = Annotated[int | None, option("Draw so many scenes to train on, and a tenth to validate.")]
Coco = Annotated[
    Path | None, option("A COCO folder to train on; a tenth of it is kept to validate.")
]
Split = Annotated[str, option("Which captions_SPLIT.json and folder of it.")]
Size = Annotated[int, option("Pixels along a side: 16, 32, 64, 128 or 256.")]
Latent = Annotated[int, option("Numbers in z.")]
Conditioning = Annotated[str, option("How the text enters: none, concat, add or film.")]
Likelihood = Annotated[str, option("bernoulli, gaussian or optimal-sigma.")]
Width = Annotated[int, option("Channels of the first stage; each further stage doubles them.")]
Encoder = Annotated[str, option("What turns text into vectors: hashing or clip.")]


@dataclass(frozen=True)
class TextTraining:
    """Data and model, as the options say."""

    scenes: int | None
    coco: Path | None
    split: str
    size: int
    latent: int
    conditioning: Any
    likelihood: Any
    width: int
    encoder: str

    def run(
        self,
        config: TrainConfig,
        device: torch.device,
        images: int | None,
        **options: Any,
    ) -> History:
        """Train; ``options`` are those of `fit`."""
        import torch

        from cvae_lib.data.sets import about_encoder
        from cvae_lib.models import TextConditionalVAE
        from cvae_lib.train import fit

        if (self.scenes is None) == (self.coco is None):
            raise ValueError("train text needs either --scenes COUNT or --coco FOLDER")
        if self.scenes is not None and self.scenes < 1:
            raise ValueError(f"--scenes must be at least 1, got {self.scenes}")
        check_images(images)
        encoder = encoder_called(self.encoder, device=device)
        torch.manual_seed(config.seed)
        model = TextConditionalVAE(
            self.size,
            self.latent,
            encoder.dim,
            self.conditioning,
            likelihood=self.likelihood,
            width=self.width,
        ).to(device)
        train_set, valid_set = self.sets(encoder, images, options["progress"])
        return fit(model, train_set, valid_set, config, about=about_encoder(encoder), **options)

    def sets(
        self, encoder: TextEncoder, images: int | None, progress: bool
    ) -> tuple[CaptionedSet, CaptionedSet]:
        """Images to train and to validate on."""
        from cvae_lib.data import coco_captions
        from cvae_lib.data.scenes import scenes

        if self.scenes is None:
            whole = coco_captions(
                self.split, self.size, self.coco, encoder=encoder, progress=progress
            ).first(images)
            kept = len(whole) - max(1, len(whole) // 10)
            return whole.first(kept), whole.subset(slice(kept, None))
        workers = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        train_set, valid_set = (
            scenes(split, count, self.size, encoder=encoder, workers=workers)
            for split, count in (("train", self.scenes), ("valid", max(1, self.scenes // 10)))
        )
        return train_set.first(images), valid_set


def refuse_options(context: typer.Context, name: str) -> None:
    """Raise ValueError if an option of `train text` was given for another model."""
    for parameter in context.command.params:
        if getattr(parameter, "rich_help_panel", None) != PANEL or parameter.name is None:
            continue
        source = context.get_parameter_source(parameter.name)
        if source is not None and source.name == "COMMANDLINE":
            raise ValueError(f"{parameter.opts[0]} is an option of train text, not of train {name}")
