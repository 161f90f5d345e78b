"""Models: VAEs of garments and of pictures with texts, and the judges of drawn pictures."""

from cvae_lib.models.base import BaseVAE, Likelihood
from cvae_lib.models.conditioning import CONDITIONINGS
from cvae_lib.models.garments import (
    FEATURES,
    N_CLASSES,
    VAE,
    AdditiveConditionalVAE,
    ConcatConditionalVAE,
    FilmConditionalVAE,
    Upsampling,
    decoder_trunk,
    encoder_trunk,
)
from cvae_lib.models.judges import FashionJudge
from cvae_lib.models.scene_judge import SceneJudge
from cvae_lib.models.text import Conditioning, TextConditionalVAE

__all__ = [
    "CONDITIONINGS",
    "FEATURES",
    "N_CLASSES",
    "VAE",
    "AdditiveConditionalVAE",
    "BaseVAE",
    "ConcatConditionalVAE",
    "Conditioning",
    "FashionJudge",
    "FilmConditionalVAE",
    "Likelihood",
    "SceneJudge",
    "TextConditionalVAE",
    "Upsampling",
    "decoder_trunk",
    "encoder_trunk",
]
