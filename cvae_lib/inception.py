"""The features behind the published FID: those of one Inception network, with one set of weights.

Other weights, torchvision's included, or another way to resize give other numbers, which nobody
can compare. The network and its resizing are torch-fidelity's.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cvae_lib.data import to_bytes
from cvae_lib.weights import Published, find_weights

WEIGHTS_VARIABLE = "CVAE_INCEPTION_WEIGHTS"
PUBLISHED = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"  # SHA-256


class InceptionFeatures:
    """Inception's 2,048 features of colour pictures: with `metrics.frechet_distance` the FID.

    Weights are looked for in this order: ``weights``, ``$CVAE_INCEPTION_WEIGHTS`` (and nowhere else
    if one is given), torch's hub cache, torch-fidelity's download; the last two must have the
    published SHA-256.

    Args:
        weights: a file with a state dict of that network.
        device: where it computes; the features come back to the CPU.

    Raises:
        FileNotFoundError: if there are no weights and none can be downloaded.
        ValueError: if the file holds no weights of Inception.

    Source: Heusel et al. 2017; weights of TensorFlow's inception-2015-12-05, by torch-fidelity.
    """

    def __init__(
        self, weights: str | Path | None = None, device: str | torch.device = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self._network = _read_network(find_weights(_published(), weights)).to(self.device)

    @torch.no_grad()
    def __call__(self, images: Tensor, batch_size: int = 50) -> Tensor:
        """Pictures (N, 3, H, W) in [0, 1], rounded to 8 bits, → (N, 2048)."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"pictures must be (N, 3, H, W), got {tuple(images.shape)}")
        parts = images.split(batch_size)
        return torch.cat([self._network(to_bytes(part.to(self.device)))[0].cpu() for part in parts])


def _published() -> Published:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3 as url

    cache = f"{torch.hub.get_dir()}/checkpoints/{url.rpartition('/')[2]}"
    return Published("Inception", url, "96 MB", PUBLISHED, cache, WEIGHTS_VARIABLE)


def _read_network(path: Path) -> Any:
    """torch-fidelity's network with the weights of a file, which is read without pickle."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        state = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
        with tempfile.TemporaryDirectory() as folder:  # torch-fidelity would unpickle any file
            torch.save(state, trusted := f"{folder}/weights.pth")
            return FeatureExtractorInceptionV3("fid", ["2048"], trusted)
    except Exception as error:  # whatever a foreign file makes torch raise
        raise ValueError(
            f"{path} does not hold Inception's weights ({error}): want torch-fidelity's file"
        ) from error
