"""Models: VAEs of garments and of pictures with texts, and the judges of drawn pictures."""

from cvae_lib.models.base import BaseVAE
from cvae_lib.models.conditioning import CONDITIONINGS
from cvae_lib.models.garments import (
    N_CLASSES,
    VAE,
    AdditiveConditionalVAE,
    ConcatConditionalVAE,
    FilmConditionalVAE,
)
from cvae_lib.models.judges import FashionJudge, SceneJudge
from cvae_lib.models.latent_flow import LatentFlow, MapVAE
from cvae_lib.models.text import TextConditionalVAE

__all__ = [
    "CONDITIONINGS", "N_CLASSES", "VAE", "AdditiveConditionalVAE", "BaseVAE",
    "ConcatConditionalVAE", "FashionJudge", "FilmConditionalVAE", "LatentFlow", "MapVAE",
    "SceneJudge", "TextConditionalVAE",
]  # fmt: skip
