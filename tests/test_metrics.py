"""Image and latent measures, against scikit-image, scipy and closed forms."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor, nn

from cvae_lib.metrics import (
    class_agreement,
    frechet_distance,
    judge_features,
    knn_probe,
    linear_probe,
    psnr,
    sse,
    ssim,
)
from cvae_lib.models import FashionJudge, SceneJudge


def pairs(channels: int, height: int = 28, width: int = 28) -> tuple[Tensor, Tensor]:
    """Five pairs of images, from nearly equal to unrelated."""
    generator = torch.Generator().manual_seed(channels)
    x = torch.rand(5, channels, height, width, generator=generator)
    noise = torch.rand(5, channels, height, width, generator=generator)
    return x, torch.lerp(x, noise, torch.linspace(0.05, 1, 5).view(5, 1, 1, 1))


# Pairs of pictures


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(28, 28), (11, 11), (12, 40)])
def test_ssim_is_the_formula_under_a_gaussian_window(channels: int, size: tuple[int, int]) -> None:
    x, y = pairs(channels, *size)
    bell = torch.exp(-((torch.arange(11.0).double() - 5) ** 2) / (2 * 1.5**2))
    window = (bell / bell.sum()).outer(bell / bell.sum()).expand(channels, 1, -1, -1)

    def mean(values: Tensor) -> Tensor:
        return nn.functional.conv2d(values, window, groups=channels)

    a, b = x.double(), y.double()
    covariance = mean(a * b) - mean(a) * mean(b)
    variances = mean(a * a) - mean(a) ** 2 + mean(b * b) - mean(b) ** 2
    luminance = (2 * mean(a) * mean(b) + 1e-4) / (mean(a) ** 2 + mean(b) ** 2 + 1e-4)
    expected = (luminance * (2 * covariance + 9e-4) / (variances + 9e-4)).mean((1, 2, 3))
    assert ssim(x, y).tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert ssim(x, y)[0] > 0.9 and ssim(x, y)[-1] < 0.3


def test_ssim_is_one_of_itself_symmetric_and_negative_of_the_inverse() -> None:
    x, y = pairs(1)
    torch.testing.assert_close(ssim(x, x), torch.ones(5))
    torch.testing.assert_close(ssim(x, y), ssim(y, x))
    assert (ssim(x, 1 - x) < 0).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_is_that_of_scikit_image_and_squared_errors_are_by_hand(channels: int) -> None:
    x, y = pairs(channels)
    greys = zip(x.numpy(), y.numpy(), strict=True)
    expected = [peak_signal_noise_ratio(a, b, data_range=1) for a, b in greys]
    assert psnr(x, y).tolist() == pytest.approx(expected, abs=1e-4)
    assert psnr(x, x).tolist() == [math.inf] * 5
    x, y = torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    y[0, 0, 0, 0], y[1] = 0.5, 1.0
    assert sse(x, y).tolist() == [0.25, 4.0]


@pytest.mark.parametrize("measure", [sse, psnr, ssim])
def test_pairs_must_be_batches_of_one_shape(measure) -> None:
    with pytest.raises(ValueError, match=r"x and y .* got \(2, 1, 28, 28\) and \(1, 1, 28, 28\)"):
        measure(torch.zeros(2, 1, 28, 28), torch.zeros(1, 1, 28, 28))
    with pytest.raises(ValueError, match=r"x must be float \(B, C, H, W\) .* \(28, 28\)"):
        measure(torch.zeros(28, 28), torch.zeros(28, 28))
    with pytest.raises(ValueError, match=r"at least 11 × 11, got \(2, 1, 10, 28\)"):
        ssim(torch.zeros(2, 1, 10, 28), torch.zeros(2, 1, 10, 28))


@pytest.mark.parametrize("measure", [sse, psnr, ssim])
def test_pixels_must_lie_in_the_unit_interval(measure) -> None:
    x, y = pairs(1)
    with pytest.raises(ValueError, match=r"got torch.uint8 .*: use to_unit\(images\)"):
        measure((255 * x).byte(), (255 * y).byte())
    with pytest.raises(ValueError, match=r"must be float .* got .*: \(x \+ 1\) / 2"):
        measure(x, 2 * y - 1)
    with pytest.raises(ValueError, match="example 3 has the value nan"):
        measure(x, y.index_fill(0, torch.tensor(3), math.nan))
    assert torch.equal(measure(x.numpy(), y.numpy()), measure(x, y))


# Fréchet distance


def features(count: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    normal = torch.randn(count, 6, generator=generator, dtype=torch.float64)
    return scale * normal @ mixing + shift


def frechet_by_scipy(a: np.ndarray, b: np.ndarray) -> float:
    shift = a.mean(0) - b.mean(0)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    return float(shift @ shift + np.trace(cov_a + cov_b - 2 * root))


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.3, 2.0), (4.0, -1.0)])
def test_frechet_distance_is_that_of_scipy(scale: float, shift: float) -> None:
    a, b = features(200, 0), features(300, 1, scale, shift)
    expected = frechet_by_scipy(a.numpy(), b.numpy())
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b.numpy(), a.numpy()) == pytest.approx(expected, rel=1e-9)  # type: ignore[arg-type]
    assert frechet_distance(a, a[torch.randperm(200)]) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_known_gaussians(generator: torch.Generator) -> None:
    """For diagonal covariances it is ‖Δμ‖² + Σ (σ_a − σ_b)²."""
    sigma_a, sigma_b = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([2.0, 1.0, 0.5])
    shift = torch.tensor([1.0, 0.0, -2.0])
    a = sigma_a * torch.randn(200_000, 3, generator=generator)
    b = sigma_b * torch.randn(200_000, 3, generator=generator) + shift
    assert frechet_distance(a, b) == pytest.approx(5.0 + 2.0, rel=0.02)
    one, other = features(50, 0)[:, :1], features(60, 1)[:, :1]  # one dimension
    expected = (one.mean() - other.mean()) ** 2 + (one.std() - other.std()) ** 2
    assert frechet_distance(one, other) == pytest.approx(float(expected), rel=1e-9)


def test_frechet_distance_of_degenerate_features_is_finite() -> None:
    """Fewer examples than dimensions, and dead features: covariances without full rank."""
    a, b = features(4, 0), features(4, 1)
    a[:, 0] = b[:, 0] = 0
    assert 0 < frechet_distance(a, b) < math.inf
    constant = torch.ones(10, 6)
    assert frechet_distance(constant, constant + 1) == pytest.approx(6)


@pytest.mark.parametrize("swapped", [False, True])
def test_frechet_distance_names_the_set_that_will_not_do(swapped: bool) -> None:
    def distance(good: Tensor, bad: Tensor) -> float:
        return frechet_distance(bad, good) if swapped else frechet_distance(good, bad)

    good, name = features(5, 0), "features_a" if swapped else "features_b"
    for shape in ((1, 6), (0, 6), (6,)):
        with pytest.raises(ValueError, match=rf"{name} must be \(N, D\) with N ≥ 2, got \("):
            distance(good, torch.zeros(shape))
    for value in (math.nan, math.inf):
        bad = features(5, 1)
        bad[3, 2] = value
        with pytest.raises(ValueError, match=f"example 3 has the value {value}: .* {name} must"):
            distance(good, bad)


# The judge


class GreyJudge(nn.Module):
    """Sees the class that the mean grey stands for: class k is a picture of grey k / 10."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def features(self, x: Tensor) -> Tensor:
        assert not self.training
        self.batches.append(len(x))
        return x.flatten(1)

    def head(self, features: Tensor) -> Tensor:
        return -(features.mean(1, keepdim=True) - torch.arange(10) / 10).abs()


def greys() -> tuple[Tensor, Tensor]:
    labels = torch.arange(10)
    return (labels / 10).view(10, 1, 1, 1).expand(10, 1, 4, 4), labels


def test_class_agreement_is_the_share_that_the_judge_sees() -> None:
    images, labels = greys()
    judge = GreyJudge()
    assert class_agreement(judge, images, labels.tolist()) == 1.0  # type: ignore[arg-type]
    assert class_agreement(judge, images, labels.roll(1)) == 0.0
    assert class_agreement(judge, images, labels.clamp_min(5)) == 0.5
    with pytest.raises(ValueError, match=r"shape \(10,\), got torch.int64 \(10, 1\)"):
        class_agreement(judge, images, labels[:, None])
    with pytest.raises(ValueError, match="label 10 is out of range: known are 0 … 9"):
        class_agreement(judge, images, labels + 1)


def test_judge_features_come_in_order_whatever_the_batch() -> None:
    judge, images = GreyJudge().train(), torch.rand(10, 1, 4, 4)
    found = judge_features(judge, images, batch_size=3)
    assert torch.equal(found, images.flatten(1)) and judge.batches == [3, 3, 3, 1]
    assert judge.training  # as it was
    with pytest.raises(ValueError, match="use to_unit"):
        judge_features(judge, (255 * images).byte())
    with pytest.raises(ValueError, match="no images to judge"):
        judge_features(judge, images[:0])


def test_a_judge_is_left_as_it_was(generator: torch.Generator) -> None:
    torch.manual_seed(0)
    judge = SceneJudge(width=4).train()
    before = {name: value.clone() for name, value in judge.state_dict().items()}
    images = torch.rand(6, 3, 32, 32, generator=generator)
    found = [judge_features(judge, images, batch_size=size) for size in (2, 6)]
    torch.testing.assert_close(*found)
    assert all(torch.equal(value, before[name]) for name, value in judge.state_dict().items())
    assert judge.training and not found[0].requires_grad
    torch.testing.assert_close(found[0], judge.eval().features(images).detach())
    reader, garments = FashionJudge(width=4).eval(), torch.rand(40, 1, 28, 28, generator=generator)
    labels = reader(garments).argmax(1)
    assert class_agreement(reader.train(), garments, labels) == 1.0


# Probes


@pytest.mark.parametrize("probe", [knn_probe, linear_probe])
def test_probes_read_separable_classes(probe, generator: torch.Generator) -> None:
    labels = torch.arange(600) % 3
    centres = torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    latents = centres[labels] + torch.randn(600, 2, generator=generator)
    score = probe(latents[:400], labels[:400], latents[400:], labels[400:])
    assert score > 0.98
    scaled = latents * torch.tensor([1.0, 1000.0])  # a wide dimension does not drown the other
    assert probe(scaled[:400], labels[:400], scaled[400:], labels[400:]) == pytest.approx(score)
    noise = torch.randn(600, 2, generator=generator)  # says nothing
    assert probe(noise[:400], labels[:400], noise[400:], labels[400:]) < 0.45


def test_only_the_neighbours_see_classes_that_no_line_parts(generator: torch.Generator) -> None:
    latents = torch.randn(1500, 2, generator=generator)
    labels = (latents.norm(dim=1) > 1.2).long()  # a disc and the ring around it
    parts = latents[:1000], labels[:1000], latents[1000:], labels[1000:]
    assert knn_probe(*parts) > 0.95 > 0.7 > linear_probe(*parts)
