"""Measures of images and latents: per example where one picture has a score, else over a set."""

import io
from typing import Any

import torch
from torch import Tensor

from cvae_lib.checks import check_finite, check_images, check_labels, evaluating, same_shape
from cvae_lib.files import find_weights

WEIGHTS_VARIABLE = "CVAE_INCEPTION_WEIGHTS"
PUBLISHED = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"  # its SHA-256


def sse(x: Tensor, y: Tensor) -> Tensor:
    """Sum of squared errors of each image pair: (B, C, H, W) in [0, 1] → (B,)."""
    x, y = _pair(x, y)
    return (x - y).square().flatten(1).sum(1)


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB for a peak of 1: (B, C, H, W) → (B,); ∞ if equal.

    >>> psnr(torch.zeros(1, 1, 28, 28), torch.full((1, 1, 28, 28), 0.1))
    tensor([20.])
    """
    x, y = _pair(x, y)
    return -10 * torch.log10((x - y).square().flatten(1).mean(1))


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity of each image pair: (B, C, H, W) in [0, 1] → (B,) in [−1, 1].

    A mean over the channels and places of a Gaussian window (11 × 11 pixels, σ = 1.5) that lies
    wholly inside; ValueError for smaller images. Source: Wang et al. 2004, eq. 13, by scikit-image.
    """
    from skimage.metrics import structural_similarity

    x, y = _pair(x, y)
    if min(x.shape[2:]) < 11:
        raise ValueError(f"images must be at least 11 × 11, got {tuple(x.shape)}")
    how = {"data_range": 1, "channel_axis": 0, "gaussian_weights": True}
    how["use_sample_covariance"] = False
    pairs = zip(*(side.detach().cpu().double().numpy() for side in (x, y)), strict=True)
    return torch.tensor([structural_similarity(a, b, **how) for a, b in pairs]).to(x)


def frechet_distance(features_a: Tensor, features_b: Tensor) -> float:
    """The squared Fréchet distance between Gaussians fitted to features (N, D) and (M, D).

    ‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½), in float64 (Heusel et al. 2017, eq. 6). It is
    biased upwards for few samples: compare only values taken with the same N and M.
    ValueError for fewer than two of either.
    """
    a, b = torch.as_tensor(features_a).double(), torch.as_tensor(features_b).double()
    for name, features in {"features_a": a, "features_b": b}.items():
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(f"{name} must be (N, D) with N ≥ 2, got {tuple(features.shape)}")
        check_finite(features.cpu(), f"value of {name}")
    shift = (a.mean(0) - b.mean(0)).square().sum()
    cov_a, cov_b = (torch.cov(f.T).view(2 * f.shape[1:]) for f in (a, b))  # D = 1 gives a number
    # The eigenvalues of Σ_a Σ_b are those of the symmetric Σ_a^½ Σ_b Σ_a^½, and not negative.
    values, vectors = torch.linalg.eigh(cov_a)
    root_a = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    overlap = torch.linalg.eigvalsh(root_a @ cov_b @ root_a).clamp_min(0).sqrt().sum()
    return float((shift + cov_a.trace() + cov_b.trace() - 2 * overlap).clamp_min(0))


class InceptionFeatures:
    """Inception's 2,048 features of colour pictures: with `metrics.frechet_distance` the FID.

    It computes on ``device``. Weights are torch-fidelity's state dict in the file of
    ``$CVAE_INCEPTION_WEIGHTS``, else the one published, from torch's hub cache or downloaded.
    FileNotFoundError if there are no weights, ValueError if the file holds others. Source: Heusel
    et al. 2017; weights of TensorFlow's inception-2015-12-05, by torch-fidelity.
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        from torch_fidelity import feature_extractor_inceptionv3 as fidelity  # seconds to import

        url = fidelity.URL_INCEPTION_V3
        cache = f"{torch.hub.get_dir()}/checkpoints/{url.rpartition('/')[2]}"
        path = find_weights("Inception", WEIGHTS_VARIABLE, cache, url, PUBLISHED, "96 MB")
        try:
            state = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
            torch.save(state, trusted := io.BytesIO())  # torch-fidelity would unpickle any file
            trusted.seek(0)
            self._network = fidelity.FeatureExtractorInceptionV3("fid", ["2048"], trusted)
        except Exception as error:  # whatever a foreign file makes torch raise
            wrong = f"{path} does not hold Inception's weights ({error})"
            raise ValueError(f"{wrong}: want torch-fidelity's file") from error
        self._network.to(device)
        self.device = device

    @torch.no_grad()
    def __call__(self, images: Tensor, batch_size: int = 50) -> Tensor:
        """Pictures (N, 3, H, W) in [0, 1], rounded to 8 bits, → (N, 2048) on the CPU."""
        parts = check_images(images, (3, None, None)).split(batch_size)
        grey = (part.to(self.device).float().mul(255).round().clamp(0, 255) for part in parts)
        return torch.cat([self._network(part.to(torch.uint8))[0].cpu() for part in grey])


@torch.no_grad()
def judge_features(judge: Any, images: Tensor, batch_size: int = 100) -> Tensor:
    """The judge's features of images (N, C, H, W) in [0, 1], in evaluation mode: (N, D).

    ValueError for no images.
    """
    if not len(images):
        raise ValueError("there are no images to judge")
    with evaluating(judge):
        batches = check_images(images).split(batch_size)
        return torch.cat([judge.features(batch) for batch in batches])


@torch.no_grad()
def class_agreement(judge: Any, images: Tensor, labels: Tensor) -> float:
    """The share of images (N, 1, 28, 28) in which the judge sees the label asked for (N,)."""
    logits = judge.head(judge_features(judge, images))
    labels = check_labels(labels, logits.shape[1], len(logits)).to(logits.device)
    return float((logits.argmax(1) == labels).float().mean())


def knn_probe(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Accuracy of a vote of the 10 nearest neighbours that reads the class from latents (N, D)."""
    from sklearn.neighbors import KNeighborsClassifier  # seconds to import: for probes alone

    return _probe(KNeighborsClassifier(10), train, train_labels, test, test_labels)


def linear_probe(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Accuracy of a logistic regression that reads the class from latents (N, D)."""
    from sklearn.linear_model import LogisticRegression

    return _probe(LogisticRegression(max_iter=1000), train, train_labels, test, test_labels)


def _probe(classifier: Any, *sets: Tensor) -> float:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, train_labels, test, test_labels = (torch.as_tensor(part).cpu() for part in sets)
    reader = make_pipeline(StandardScaler(), classifier).fit(train, train_labels)
    return float(reader.score(test, test_labels))


def _pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x, y = check_images(x, name="x"), check_images(y, name="y")
    same_shape(x, y, ("x", "y"))
    return x, y
