"""Models: VAEs of garments, and the judges of drawn pictures."""

from cvae_lib.models.garments import (
    FEATURES,
    N_CLASSES,
    VAE,
    AdditiveConditionalVAE,
    ConcatConditionalVAE,
    FashionJudge,
    FilmConditionalVAE,
    Likelihood,
    Upsampling,
    decoder_trunk,
    encoder_trunk,
    film,
)

__all__ = [
    "FEATURES",
    "N_CLASSES",
    "VAE",
    "AdditiveConditionalVAE",
    "ConcatConditionalVAE",
    "FashionJudge",
    "FilmConditionalVAE",
    "Likelihood",
    "Upsampling",
    "decoder_trunk",
    "encoder_trunk",
    "film",
]
