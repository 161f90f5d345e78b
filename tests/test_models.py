"""The VAEs: exact sizes, gradients, golden numbers, conditioning, sampling, bad input."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cvae_lib import losses
from cvae_lib.losses import LIKELIHOODS, elbo
from cvae_lib.models import (
    CONDITIONINGS,
    VAE,
    AdditiveConditionalVAE,
    BaseVAE,
    ConcatConditionalVAE,
    FilmConditionalVAE,
    TextConditionalVAE,
)
from cvae_lib.models.conditioning import film
from cvae_lib.models.garments import decoder_trunk

CONDITIONAL = (ConcatConditionalVAE, AdditiveConditionalVAE, FilmConditionalVAE)
MODELS = (VAE, *CONDITIONAL)
ALL = (*MODELS, *CONDITIONINGS)  # garments by class, texts by conditioning
WITH_CONDITION = (*CONDITIONAL, *(how for how in CONDITIONINGS if how != "none"))
LABELS = torch.tensor([0, 3, 9, 3])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


TEXTS = torch.randn(4, 5, generator=seeded(7))
WORDS = torch.randn(4, 3, 5, generator=seeded(7)) * torch.tensor([3, 1, 2, 3])[:, None, None].gt(
    torch.arange(3)[:, None]
)  # texts of 3, 1, 2 and 3 words, padded with zeros


def make(kind: Any, latent_dim: int = 8, **options: Any) -> Any:
    """A small model in evaluation mode."""
    torch.manual_seed(0)
    if isinstance(kind, type):
        return kind(latent_dim, **options).eval()
    options = {"width": 4, "text_features": 7} | options
    return TextConditionalVAE(16, latent_dim, 5, kind, **options).eval()


def heard(model: Any) -> Any:
    """FiLM starts without effect: give its conditions one."""
    for parameter in model.condition.parameters():
        if not parameter.any():
            nn.init.normal_(parameter)
    return model


def codes(model: BaseVAE, condition: Any, generator: Any = None, **options: Any) -> Tensor:
    """What `sample` decodes."""
    count = condition if isinstance(condition, int) else len(condition)
    return model.prior.sample(count, model.prepare(condition), generator, **options)


def batch(model: BaseVAE) -> tuple[Tensor, Tensor]:
    """Four pictures and their conditions."""
    x = torch.rand(4, *model.image_shape, generator=seeded())
    if not isinstance(model, TextConditionalVAE):
        return x, LABELS
    return x, WORDS if model.conditioning == "attend" else TEXTS


@pytest.fixture
def x(generator: torch.Generator) -> Tensor:
    return torch.rand(4, 1, 28, 28, generator=generator)


# Sizes and shapes


@pytest.mark.parametrize(
    ("cls", "count", "heads", "decoder_input"),
    [
        (ConcatConditionalVAE, 1_007_041, 2080, 160),  # the article's
        (AdditiveConditionalVAE, 954_753, 2048, 128),  # the article's
        (VAE, 954_753 - 10 * (2048 + 128), 2048, 128),
        (FilmConditionalVAE, 954_753 - 10 * (2048 + 128) + 2 * 10 * 256, 2048, 128),
    ],
)
def test_sizes(cls: type[VAE], count: int, heads: int, decoder_input: int) -> None:
    model = cls()
    assert sum(p.numel() for p in model.parameters()) == count
    assert model.mu_head.weight.shape == model.logvar_head.weight.shape == (128, heads)
    assert model.decoder_input.weight.shape == (2048, decoder_input)
    maps = [m.weight.shape for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert maps == [(32, 1, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3)]
    kernels = [m.weight.shape for m in model.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert kernels == [(128, 64, 2, 2), (64, 32, 3, 3), (32, 1, 3, 3)]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("latent_dim", [1, 8])
def test_output_shapes(kind: Any, latent_dim: int) -> None:
    model = make(kind, latent_dim)
    x, condition = batch(model)
    mu, logvar = model.encode(x, condition)
    assert mu.shape == logvar.shape == (4, latent_dim)
    logits = model.decode_logits(mu, condition)
    image = model.decode(mu, condition)
    assert image.shape == x.shape and image.min() >= 0 and image.max() <= 1
    torch.testing.assert_close(image, logits.sigmoid())
    assert model.nll(x, logits).shape == (4,)
    rebuilt = model.reconstruct(x, condition)
    assert torch.equal(rebuilt, image) and not rebuilt.requires_grad


@pytest.mark.parametrize("kind", ALL)
def test_architecture_rebuilds_the_model(kind: Any) -> None:
    options: dict[str, Any] = {"latent_dim": 5, "likelihood": "gaussian", "prior_components": 2}
    if isinstance(kind, type):
        options |= {"upsampling": "even"}
        options |= {"embedding_std": 0.02} if kind is AdditiveConditionalVAE else {}
        model = kind(**options)
    else:
        options |= {"image_size": 32, "text_dim": 4, "conditioning": kind, "width": 8}
        options |= {"text_features": 9, "normalise_text": False}
        model = TextConditionalVAE(**options)
    assert model.architecture == options
    assert model.conditional == (kind not in (VAE, "none"))
    type(model)(**model.architecture).load_state_dict(model.state_dict())


# Gradients


@pytest.mark.parametrize(("kind", "likelihood"), list(product(ALL, LIKELIHOODS)))
def test_every_combination_trains_every_parameter(kind: Any, likelihood: Any) -> None:
    if isinstance(kind, str) and likelihood == "binarised":
        return
    model = make(kind, likelihood=likelihood).train()
    terms = elbo(model, *batch(model), seeded(1))
    assert terms["loss"].shape == (4,) and terms["loss"].isfinite().all()
    terms["loss"].mean().backward()
    for name, parameter in model.named_parameters():
        if name.startswith("prior.layout."):
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        before_norm = isinstance(kind, str) and name.endswith(".0.bias")  # BatchNorm takes it away
        silent = name.startswith("prior.gaussian.0.")  # the layer behind it starts at 0
        assert before_norm or silent or parameter.grad.any(), name


# Golden numbers


def set_by_name(model: nn.Module) -> None:
    """Fill every parameter with a sine wave of its own phase: no two layers are alike."""
    with torch.no_grad():
        for place, (_, parameter) in enumerate(sorted(model.named_parameters())):
            wave = torch.arange(parameter.numel(), dtype=torch.float64)
            values = torch.sin(1.7 * wave + place) * 2 / parameter[0].numel() ** 0.5
            parameter.copy_(values.view_as(parameter))


GOLDEN = {  # class: weighted sums of μ, log σ² and logits; −ELBO at z = μ
    VAE: (1.02371, 0.630093, -1598.13, 6706.81),
    ConcatConditionalVAE: (-0.350782, 1.63832, -1231.1, 4910.55),
    AdditiveConditionalVAE: (-2.92822, 0.611709, -671.897, 5498.41),
    FilmConditionalVAE: (-1.84663, 1.15744, -676.159, 6735.22),
}


@pytest.mark.parametrize("cls", MODELS)
def test_golden_numbers(cls: type[VAE]) -> None:
    model = make(cls)
    set_by_name(model)
    assert not torch.allclose(model.mu_head.weight, model.logvar_head.weight, atol=1e-4)
    x = torch.sin(torch.arange(2 * 784) / 50).abs().view(2, 1, 28, 28)
    labels = torch.tensor([2, 7])
    mu, logvar = model.encode(x, labels)
    z = torch.linspace(-2, 2, 16).view(2, 8)
    logits = model.decode_logits(z, labels)
    loss = model.nll(x, model.decode_logits(mu, labels)) + losses.gaussian_kl(mu, logvar)
    weight = torch.linspace(0, 1, 16).view(2, 8)
    pixels = torch.linspace(0, 1, 2 * 784).view(2, 1, 28, 28)
    found = [(mu * weight).sum(), (logvar * weight).sum(), (logits * pixels).sum(), loss.sum()]
    assert [float(v.detach()) for v in found] == pytest.approx(GOLDEN[cls], rel=1e-4)


# How a condition enters


@pytest.mark.parametrize("kind", ALL)
def test_a_row_alone_equals_the_row_in_a_batch(kind: Any) -> None:
    model = heard(make(kind, likelihood="optimal-sigma"))
    x, condition = batch(model)
    mu, logvar = model.encode(x, condition)
    logits = model.decode_logits(mu, condition)
    nll = model.nll(x, logits)
    for row in range(4):
        one = slice(row, row + 1)
        mu_1, logvar_1 = model.encode(x[one], condition[one])
        logits_1 = model.decode_logits(mu[one], condition[one])
        for alone, together in ((mu_1, mu), (logvar_1, logvar), (logits_1, logits)):
            torch.testing.assert_close(alone, together[one])
        torch.testing.assert_close(model.nll(x[one], logits_1), nll[one])


@pytest.mark.parametrize("kind", WITH_CONDITION)
def test_another_condition_changes_latents_and_pixels(kind: Any) -> None:
    model = heard(make(kind))
    x, condition = batch(model)
    other = condition.clone()
    other[1] = 5 - condition[1]
    (mu, logvar), (mu_other, logvar_other) = (model.encode(x, c) for c in (condition, other))
    image, image_other = model.decode(mu, condition), model.decode(mu, other)
    for one, two in ((mu, mu_other), (logvar, logvar_other), (image, image_other)):
        assert (one[1] - two[1]).abs().max() > 1e-4
        assert torch.equal(one[[0, 2, 3]], two[[0, 2, 3]])


@pytest.mark.parametrize("kind", [VAE, "none"])
def test_an_unconditional_model_ignores_conditions(kind: Any) -> None:
    model = make(kind)
    x, condition = batch(model)
    assert torch.equal(model.reconstruct(x), model.reconstruct(x, condition))
    assert torch.equal(model.sample(4, seeded()), model.sample(condition, seeded()))
    assert model.sample(3).shape == (3, *model.image_shape)
    assert torch.equal(model.sample(np.int64(4), seeded()), model.sample(4, seeded()))
    with pytest.raises(TypeError, match="the number of images must be a whole number, got None"):
        model.sample(None)


@pytest.mark.parametrize("std", [1.0, 0.02])
def test_additive_embeddings_start_with_their_deviation(std: float) -> None:
    model = make(AdditiveConditionalVAE, 128, embedding_std=std)
    assert isinstance(model, AdditiveConditionalVAE)
    assert model.condition.to_features.weight.std().item() == pytest.approx(std, rel=0.05)
    assert model.condition.to_latent.weight.std().item() == pytest.approx(std, rel=0.1)


@pytest.mark.parametrize(("kind", "without"), [(FilmConditionalVAE, VAE), ("film", "none")])
def test_film_starts_as_identity(kind: Any, without: Any) -> None:
    model, plain = make(kind), make(without)
    weights = {name: tensor for name, tensor in model.state_dict().items() if "prior" not in name}
    plain.load_state_dict(weights, strict=False)
    x, condition = batch(model)
    mu, logvar = model.encode(x, condition)
    assert torch.equal(mu, plain.encode(x)[0]) and torch.equal(logvar, plain.encode(x)[1])
    assert torch.equal(model.decode(mu, condition), plain.decode(mu))


def test_film_scales_and_shifts_each_channel() -> None:
    features = torch.arange(12.0).view(1, 12)  # three channels of four places
    out = film(features, torch.tensor([[0.0, 1.0, -1.0, 10.0, 0.0, 5.0]]))
    assert out.tolist() == [[10, 11, 12, 13, 8, 10, 12, 14, 5, 5, 5, 5]]


# Upsampling


def overlaps(upsampling) -> list[list[float]]:
    """For each transposed convolution: how many input pixels reach an output pixel, off border."""
    found = []
    for layer in decoder_trunk(upsampling):
        if isinstance(layer, nn.ConvTranspose2d):
            assert layer.bias is not None
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
            counts = layer(torch.ones(1, layer.in_channels, 16, 16))[0, 0] / layer.in_channels
            found.append(counts[4:-4, 4:-4].unique().tolist())
    return found


def test_even_upsampling_overlaps_evenly_and_the_articles_does_not() -> None:
    assert overlaps("even") == [[16], [4], [4]]
    assert overlaps("article") == [[1], [1, 2, 4], [1, 2, 4]]


@pytest.mark.parametrize("upsampling", ["article", "even"])
def test_upsampling_goes_4_7_14_28(upsampling) -> None:
    h, sides = torch.zeros(1, 128, 4, 4), []
    for layer in decoder_trunk(upsampling):
        h = layer(h)
        sides.append(h.shape[-1])
    assert sides == [7, 7, 14, 14, 28] and h.shape == (1, 1, 28, 28)


# Likelihoods


@pytest.mark.parametrize("kind", [VAE, "concat"])
def test_nll_follows_the_likelihood(kind: Any) -> None:
    model = make(kind)
    x, _ = batch(model)
    logits = torch.randn(x.shape, generator=seeded())
    assert torch.equal(model.nll(x, logits), losses.bernoulli_nll(x, logits))
    gaussian = make(kind, likelihood="gaussian").nll(x, logits)
    torch.testing.assert_close(gaussian, losses.gaussian_nll(x, logits.sigmoid()))


def test_the_optimal_sigma_is_the_batch_in_training_and_the_epoch_in_evaluation(x: Tensor) -> None:
    model = make(VAE, likelihood="optimal-sigma").train()
    logits = torch.zeros(4, 1, 28, 28)
    best = losses.optimal_logvar(x, logits.sigmoid())
    before = model.observation_logvar.clone()
    for _ in range(3):
        torch.testing.assert_close(
            model.nll(x, logits), losses.gaussian_nll(x, logits.sigmoid(), best)
        )
    assert torch.equal(model.observation_logvar, before), "nll changes nothing"
    model.end_epoch({"loss": 1.0, "squared_error": 0.04})
    assert model.observation_logvar.exp().sqrt().item() == pytest.approx(0.2)
    nll = model.eval().nll(x, logits)
    expected = losses.gaussian_nll(x, logits.sigmoid(), model.observation_logvar)
    torch.testing.assert_close(nll, expected)
    assert model.nll(x, logits).equal(nll)


def test_labels_come_as_lists_and_arrays_numbers_as_numpys() -> None:
    model = make(ConcatConditionalVAE)
    drawn = model.sample(LABELS, seeded())
    for labels in (LABELS.tolist(), LABELS.numpy(), LABELS.to(torch.int32)):
        assert torch.equal(model.sample(labels, seeded()), drawn)
    assert make(VAE, np.int64(4)).architecture["latent_dim"] == 4
    with pytest.raises(TypeError, match=r"latent_dim must be a whole number, got 2\.5"):
        VAE(latent_dim=2.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_a_model_of_another_precision_works(dtype: torch.dtype, x: Tensor) -> None:
    model, single = make(ConcatConditionalVAE).to(dtype), make(ConcatConditionalVAE)
    terms, expected = (elbo(m, x, LABELS, seeded()) for m in (model, single))
    torch.testing.assert_close(terms["loss"].float(), expected["loss"], rtol=0.02, atol=0)
    assert model.sample(LABELS, seeded()).shape == (4, 1, 28, 28)


def test_sampling_and_rebuilding_leave_the_mode_and_the_statistics(x: Tensor) -> None:
    model = TextConditionalVAE(16, 4, 6, "film", width=4).train()
    model.encoder[0].eval()  # one layer apart
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    text = torch.randn(3, 6, generator=seeded())
    alone = torch.cat([model.sample(row[None], temperature=0) for row in text])
    torch.testing.assert_close(model.sample(text, temperature=0), alone)
    model.reconstruct(torch.rand(3, 3, 16, 16), text)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training and not model.encoder[0].training and model.encoder[1].training


# Sampling


@pytest.mark.parametrize("kind", WITH_CONDITION)
def test_sample_obeys_its_generator(kind: Any) -> None:
    model = make(kind)
    _, condition = batch(model)
    first, same, other = (model.sample(condition, seeded(seed)) for seed in (1, 1, 2))
    assert first.shape == (4, *model.image_shape) and not first.requires_grad
    assert torch.equal(first, same) and not torch.equal(first, other)


def some_prior(model: VAE) -> tuple[Tensor, Tensor]:
    classes, _, size = model.prior.mean.shape
    mean = 3 * torch.randn(classes, 1, size, generator=seeded(3))
    root = torch.randn(classes, 1, size, size, generator=seeded(4))
    return mean, root @ root.mT + torch.eye(size)


@pytest.mark.parametrize("cls", [VAE, ConcatConditionalVAE])
def test_sample_latent_has_the_moments_of_the_fitted_prior(cls: type[VAE]) -> None:
    model = make(cls, 3)
    mean, covariance = some_prior(model)
    model.prior.set(mean, covariance)
    for label in (0, len(mean) - 1):
        asked = torch.full((40_000,), label)
        z = codes(model, asked, seeded())
        torch.testing.assert_close(z.mean(0), mean[label, 0], rtol=0, atol=0.08)
        torch.testing.assert_close(torch.cov(z.T), covariance[label, 0], rtol=0.05, atol=0.15)
        half = codes(model, asked, seeded(), temperature=0.5)
        quarter = covariance[label, 0] / 4
        torch.testing.assert_close(torch.cov(half.T), quarter, rtol=0.05, atol=0.05)


def test_a_mixture_draws_each_component_as_often_as_its_weight_says() -> None:
    torch.manual_seed(0)
    model = VAE(2, prior_components=3)
    mean = torch.tensor([[[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]])
    covariance = torch.eye(2).repeat(1, 3, 1, 1) * torch.tensor([1.0, 0.25, 4.0]).view(1, 3, 1, 1)
    weight = torch.tensor([[0.5, 0.3, 0.2]])
    model.prior.set(mean, covariance, weight)
    z = codes(model, 30_000, seeded())
    nearest = torch.cdist(z, mean[0]).argmin(1)
    shares = nearest.bincount() / len(z)
    torch.testing.assert_close(shares, weight[0], rtol=0, atol=0.015)
    for component, deviation in enumerate((1.0, 0.5, 2.0)):
        spread = z[nearest == component].std(0)
        torch.testing.assert_close(spread, torch.full((2,), deviation), rtol=0.05, atol=0)


def test_without_a_fitted_prior_z_is_standard_normal() -> None:
    model = make(ConcatConditionalVAE, 3)
    labels = torch.zeros(40_000, dtype=torch.long)
    before = codes(model, labels, seeded())
    torch.testing.assert_close(torch.cov(before.T), torch.eye(3), rtol=0, atol=0.03)
    model.prior.set(*some_prior(model))
    after = codes(model, labels, seeded(), fitted=False)
    assert torch.equal(before, after)


@pytest.mark.parametrize("cls", [VAE, ConcatConditionalVAE])
def test_temperature_zero_draws_the_prior_mean_of_each_row(cls: type[VAE]) -> None:
    model = make(cls)
    mean, covariance = some_prior(model)
    model.prior.set(mean, covariance)
    which = LABELS if model.conditional else torch.zeros(4, dtype=torch.long)
    torch.testing.assert_close(
        model.sample(LABELS, temperature=0), model.decode(mean[which, 0], LABELS)
    )


def test_prior_travels_in_the_state_dict() -> None:
    model, copy = make(ConcatConditionalVAE), make(ConcatConditionalVAE)
    model.prior.set(*some_prior(model))
    copy.load_state_dict(model.state_dict())
    assert torch.equal(model.sample(LABELS, seeded()), copy.sample(LABELS, seeded()))


# Bad input


@pytest.mark.parametrize("kind", [VAE, "concat"])
def test_wrong_images(kind: Any) -> None:
    model = make(kind)
    x, condition = batch(model)
    shape = r", ".join(map(str, model.image_shape))
    for bad in (x[..., 1:, :], x[0], x.byte(), torch.cat([x, x], 1)):
        came = rf"\(B, {shape}\) in .*, got {bad.dtype} .{str(tuple(bad.shape))[1:-1]}"
        with pytest.raises(ValueError, match=came):
            model.encode(bad, condition)
    x[2, 0, 5, 5] = torch.nan
    with pytest.raises(ValueError, match="example 2 has the value nan: every pixel"):
        model.encode(x, condition)


@pytest.mark.parametrize("cls", CONDITIONAL)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "list of whole numbers, got NoneType None"),
        (torch.tensor([0, 10, 1, -3]), "label 10 is out of range: known are 0 … 9"),
        (torch.tensor([0, 1, 2, -1]), "label -1 is out of range"),
        (torch.tensor([0.0, 1.0, 2.0, 3.0]), r"of shape \(4,\), got torch.float32 \(4,\)"),
        (torch.tensor([0, 1, 2]), r"of shape \(4,\), got torch.int64 \(3,\)"),
        (torch.zeros(4, 1, dtype=torch.long), r"of shape \(4,\), got torch.int64 \(4, 1\)"),
    ],
)
def test_wrong_labels(cls: type[VAE], labels: Tensor | None, message: str, x: Tensor) -> None:
    model = make(cls)
    with pytest.raises((TypeError, ValueError), match=message):
        model.encode(x, labels)
    with pytest.raises((TypeError, ValueError), match=message):
        model.decode(torch.zeros(4, 8), labels)


def test_wrong_samples() -> None:
    model = make(ConcatConditionalVAE)
    with pytest.raises(ValueError, match=r"of shape \(N,\), got torch.int64 \(\)"):
        model.sample(5)
    with pytest.raises(ValueError, match="label 10 is out of range"):
        model.sample(torch.tensor([10]))
    for temperature in (-0.5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"at least 0 and finite, got {temperature}"):
            model.sample(LABELS, temperature=temperature)
    for shape in ((4, 7), (4, 9), (8,), (4, 8, 1)):
        with pytest.raises(ValueError, match=r"z must be \(B, 8\), got \(" + str(shape)[1:-1]):
            make(VAE).decode(torch.zeros(shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"likelihood": "poisson"}, "unknown likelihood 'poisson': choose one of bernoulli"),
        ({"upsampling": "bilinear"}, "unknown upsampling 'bilinear': choose one of article, even"),
        ({"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
        ({"prior_components": 0}, "prior_components must be at least 1, got 0"),
    ],
)
def test_wrong_constructor_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VAE(**options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": torch.zeros(1, 8)}, r"mean of this prior must be \(1, 1, 8\), got \(1, 8\)"),
        ({"covariance": torch.zeros(1, 1, 8, 9)}, r"be \(1, 1, 8, 8\), got \(1, 1, 8, 9\)"),
        ({"weight": torch.ones(1, 3)}, r"weight of this prior must be \(1, 1\), got \(1, 3\)"),
        ({"text": torch.zeros(6, 8)}, r"text of this prior must be \(8, 5\), got \(6, 8\)"),
        ({"covariance": -torch.eye(8)[None, None]}, "positive definite"),
        ({"mean": torch.full((1, 1, 8), torch.nan)}, "finite means"),
    ],
)
def test_a_prior_that_is_refused_leaves_the_former_one(change: dict, message: str) -> None:
    model = make("concat")
    before = model.sample(TEXTS, seeded())
    parts = {"mean": torch.ones(1, 1, 8), "covariance": torch.eye(8)[None, None]} | change
    with pytest.raises(ValueError, match=message):
        model.prior.set(**parts)
    assert torch.equal(model.sample(TEXTS, seeded()), before)
