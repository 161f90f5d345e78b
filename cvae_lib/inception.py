"""The features of the published FID: torch-fidelity's network; any other gives other numbers."""

import io
from pathlib import Path

import torch
from torch import Tensor

from cvae_lib.checks import check_images
from cvae_lib.data import to_bytes
from cvae_lib.files import find_weights

WEIGHTS_VARIABLE = "CVAE_INCEPTION_WEIGHTS"
PUBLISHED = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"  # SHA-256


class InceptionFeatures:
    """Inception's 2,048 features of colour pictures: with `metrics.frechet_distance` the FID.

    It computes on ``device``. ``weights`` is a file with torch-fidelity's state dict; if None, that
    of ``$CVAE_INCEPTION_WEIGHTS``, else the one published, from torch's hub cache or downloaded.
    Raises FileNotFoundError if there are no weights, ValueError if the file holds others.

    Source: Heusel et al. 2017; weights of TensorFlow's inception-2015-12-05, by torch-fidelity.
    """

    def __init__(
        self, weights: str | Path | None = None, device: str | torch.device = "cpu"
    ) -> None:
        from torch_fidelity import feature_extractor_inceptionv3 as fidelity  # seconds to import

        url, size = fidelity.URL_INCEPTION_V3, "96 MB"
        cache = f"{torch.hub.get_dir()}/checkpoints/{url.rpartition('/')[2]}"
        path = find_weights("Inception", weights, WEIGHTS_VARIABLE, cache, url, PUBLISHED, size)
        try:
            state = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
            torch.save(state, trusted := io.BytesIO())  # torch-fidelity would unpickle any file
            trusted.seek(0)
            self._network = fidelity.FeatureExtractorInceptionV3("fid", ["2048"], trusted)
        except Exception as error:  # whatever a foreign file makes torch raise
            raise ValueError(
                f"{path} does not hold Inception's weights ({error}): want torch-fidelity's file"
            ) from error
        self._network.to(device)
        self.device = device

    @torch.no_grad()
    def __call__(self, images: Tensor, batch_size: int = 50) -> Tensor:
        """Pictures (N, 3, H, W) in [0, 1], rounded to 8 bits, → (N, 2048) on the CPU."""
        parts = check_images(images, (3, None, None)).split(batch_size)
        return torch.cat([self._network(to_bytes(part.to(self.device)))[0].cpu() for part in parts])
