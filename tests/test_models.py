"""The four models: exact sizes, gradients, golden numbers, conditioning, sampling, bad input."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cvae_lib import losses
from cvae_lib.losses import LIKELIHOODS, elbo
from cvae_lib.models import (
    VAE,
    AdditiveConditionalVAE,
    ConcatConditionalVAE,
    FashionJudge,
    FilmConditionalVAE,
    SceneJudge,
    TextConditionalVAE,
    decoder_trunk,
)
from cvae_lib.models.conditioning import film

CONDITIONAL = (ConcatConditionalVAE, AdditiveConditionalVAE, FilmConditionalVAE)
MODELS = (VAE, *CONDITIONAL)
LABELS = torch.tensor([0, 3, 9, 3])


@pytest.fixture
def x(generator: torch.Generator) -> Tensor:
    return torch.rand(4, 1, 28, 28, generator=generator)


def make(cls: type[VAE], latent_dim: int = 8, **options) -> VAE:
    torch.manual_seed(0)
    return cls(latent_dim, **options).eval()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def strong_labels(model):
    """FiLM starts without effect: give its labels one."""
    if isinstance(model, FilmConditionalVAE):
        nn.init.normal_(model.condition.to_features.weight)
        nn.init.normal_(model.condition.to_maps[0].weight)
    return model


# Sizes and shapes


@pytest.mark.parametrize(
    ("cls", "count"),
    [
        (ConcatConditionalVAE, 1_007_041),  # the article's
        (AdditiveConditionalVAE, 954_753),  # the article's
        (VAE, 954_753 - 10 * (2048 + 128)),
        (FilmConditionalVAE, 954_753 - 10 * (2048 + 128) + 2 * 10 * 256),
    ],
)
def test_parameter_counts(cls: type[VAE], count: int) -> None:
    assert sum(p.numel() for p in cls().parameters()) == count


@pytest.mark.parametrize(
    ("cls", "heads", "decoder_input"),
    [
        (VAE, 2048, 128),
        (ConcatConditionalVAE, 2080, 160),
        (AdditiveConditionalVAE, 2048, 128),
        (FilmConditionalVAE, 2048, 128),
    ],
)
def test_layer_shapes(cls: type[VAE], heads: int, decoder_input: int) -> None:
    model = cls()
    assert model.mu_head.weight.shape == model.logvar_head.weight.shape == (128, heads)
    assert model.decoder_input.weight.shape == (2048, decoder_input)
    maps = [m.weight.shape for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert maps == [(32, 1, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3)]
    kernels = [m.weight.shape for m in model.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert kernels == [(128, 64, 2, 2), (64, 32, 3, 3), (32, 1, 3, 3)]


@pytest.mark.parametrize("cls", MODELS)
@pytest.mark.parametrize("latent_dim", [1, 8])
def test_output_shapes(cls: type[VAE], latent_dim: int, x: Tensor) -> None:
    model = make(cls, latent_dim)
    image, mu, logvar = model(x, LABELS)
    assert image.shape == x.shape and mu.shape == logvar.shape == (4, latent_dim)
    assert image.min() >= 0 and image.max() <= 1
    logits = model.decode_logits(mu, LABELS)
    torch.testing.assert_close(model.decode(mu, LABELS), logits.sigmoid())
    assert model.nll(x, logits).shape == (4,)


@pytest.mark.parametrize("cls", MODELS)
def test_architecture_rebuilds_the_model(cls: type[VAE]) -> None:
    options = {"embedding_std": 0.02} if cls is AdditiveConditionalVAE else {}
    model = cls(5, "gaussian", "even", 2, **options)
    expected = {
        "latent_dim": 5,
        "likelihood": "gaussian",
        "upsampling": "even",
        "prior_components": 2,
        **options,
    }
    assert model.architecture == expected
    cls(**model.architecture).load_state_dict(model.state_dict())


# Gradients


@pytest.mark.parametrize(
    ("cls", "likelihood", "upsampling"), list(product(MODELS, LIKELIHOODS, ("article", "even")))
)
def test_every_combination_trains_every_parameter(
    cls: type[VAE], likelihood, upsampling, x: Tensor
) -> None:
    model = make(cls, likelihood=likelihood, upsampling=upsampling).train()
    terms = elbo(model, x, LABELS, seeded(1))
    assert terms.loss.shape == (4,) and terms.loss.isfinite().all()
    terms.loss.mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


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


def test_golden_numbers_tell_the_heads_apart() -> None:
    model = make(VAE)
    set_by_name(model)
    assert not torch.allclose(model.mu_head.weight, model.logvar_head.weight, atol=1e-4)


# How a label enters


@pytest.mark.parametrize("cls", MODELS)
def test_a_row_alone_equals_the_row_in_a_batch(cls: type[VAE], x: Tensor) -> None:
    model = strong_labels(make(cls, likelihood="optimal-sigma"))
    mu, logvar = model.encode(x, LABELS)
    logits = model.decode_logits(mu, LABELS)
    nll = model.nll(x, logits)
    for row in range(4):
        alone = slice(row, row + 1)
        mu_1, logvar_1 = model.encode(x[alone], LABELS[alone])
        logits_1 = model.decode_logits(mu[alone], LABELS[alone])
        for one, all_of_them in ((mu_1, mu), (logvar_1, logvar), (logits_1, logits)):
            torch.testing.assert_close(one, all_of_them[alone])
        torch.testing.assert_close(model.nll(x[alone], logits_1), nll[alone])


@pytest.mark.parametrize("cls", CONDITIONAL)
def test_another_label_changes_latents_and_pixels(cls: type[VAE], x: Tensor) -> None:
    model = strong_labels(make(cls))
    other = LABELS.clone()
    other[1] = 5
    (mu, logvar), (mu_other, logvar_other) = model.encode(x, LABELS), model.encode(x, other)
    image, image_other = model.decode(mu, LABELS), model.decode(mu, other)
    for one, two in ((mu, mu_other), (logvar, logvar_other), (image, image_other)):
        assert (one[1] - two[1]).abs().max() > 1e-4
        assert torch.equal(one[[0, 2, 3]], two[[0, 2, 3]])


def test_an_unconditional_model_ignores_labels(x: Tensor) -> None:
    model = make(VAE)
    assert torch.equal(model.encode(x)[0], model.encode(x, LABELS)[0])
    assert torch.equal(model.reconstruct(x), model.reconstruct(x, LABELS))


def test_concat_appends_one_embedding_in_both_places(x: Tensor) -> None:
    model = make(ConcatConditionalVAE)
    assert isinstance(model, ConcatConditionalVAE)
    words = model.condition.to_features(LABELS)
    mu = model.mu_head(torch.cat([model.encoder(x), words], 1))
    torch.testing.assert_close(model.encode(x, LABELS)[0], mu)
    features = model.decoder_input(torch.cat([mu, words], 1))
    expected = model.decoder(features.view(-1, 128, 4, 4))
    torch.testing.assert_close(model.decode_logits(mu, LABELS), expected)


def test_additive_adds_an_embedding_of_its_own_in_each_place(x: Tensor) -> None:
    model = make(AdditiveConditionalVAE)
    assert isinstance(model, AdditiveConditionalVAE)
    mu = model.mu_head(model.encoder(x) + model.condition.to_features(LABELS))
    torch.testing.assert_close(model.encode(x, LABELS)[0], mu)
    features = model.decoder_input(mu + model.condition.to_latent(LABELS))
    expected = model.decoder(features.view(-1, 128, 4, 4))
    torch.testing.assert_close(model.decode_logits(mu, LABELS), expected)


@pytest.mark.parametrize("std", [1.0, 0.02])
def test_additive_embeddings_start_with_their_deviation(std: float) -> None:
    model = make(AdditiveConditionalVAE, 128, embedding_std=std)
    assert isinstance(model, AdditiveConditionalVAE)
    assert model.condition.to_features.weight.std().item() == pytest.approx(std, rel=0.05)
    assert model.condition.to_latent.weight.std().item() == pytest.approx(std, rel=0.1)


def test_film_starts_as_identity(x: Tensor) -> None:
    model, plain = make(FilmConditionalVAE), make(VAE)
    plain.load_state_dict(model.state_dict() | plain_priors(plain), strict=False)
    mu, logvar = model.encode(x, LABELS)
    assert torch.equal(mu, plain.encode(x)[0]) and torch.equal(logvar, plain.encode(x)[1])
    assert torch.equal(model.decode(mu, LABELS), plain.decode(mu))


def plain_priors(model: VAE) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if "prior" in name}


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


def test_nll_follows_the_likelihood(x: Tensor) -> None:
    logits = torch.randn(4, 1, 28, 28, generator=seeded())
    assert torch.equal(make(VAE).nll(x, logits), losses.bernoulli_nll(x, logits))
    gaussian = make(VAE, likelihood="gaussian").nll(x, logits)
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


def test_labels_come_as_lists_and_arrays_numbers_as_numpys(x: Tensor) -> None:
    model, plain = make(ConcatConditionalVAE), make(VAE)
    drawn = model.sample(LABELS, seeded())
    for labels in (LABELS.tolist(), LABELS.numpy(), LABELS.to(torch.int32)):
        assert torch.equal(model.sample(labels, seeded()), drawn)
    assert torch.equal(plain.sample(np.int64(4), seeded()), plain.sample(4, seeded()))
    assert make(VAE, np.int64(4)).architecture["latent_dim"] == 4
    with pytest.raises(TypeError, match=r"latent_dim must be a whole number, got 2\.5"):
        VAE(latent_dim=2.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_a_model_of_another_precision_works(dtype: torch.dtype, x: Tensor) -> None:
    model, single = make(ConcatConditionalVAE).to(dtype), make(ConcatConditionalVAE)
    terms, expected = (elbo(m, x, LABELS, seeded()) for m in (model, single))
    torch.testing.assert_close(terms.loss.float(), expected.loss, rtol=0.02, atol=0)
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


@pytest.mark.parametrize("likelihood", ["bernoulli", "binarised", "gaussian"])
def test_observation_logvar_stays_for_other_likelihoods(likelihood, x: Tensor) -> None:
    model = make(VAE, likelihood=likelihood).train()
    model.nll(x, torch.zeros_like(x))
    assert model.observation_logvar.item() == pytest.approx(losses.UNIT_WEIGHT_LOGVAR)


# Sampling


@pytest.mark.parametrize("cls", CONDITIONAL)
def test_sample_obeys_its_generator(cls: type[VAE]) -> None:
    model = make(cls)
    first, same, other = (model.sample(LABELS, seeded(seed)) for seed in (1, 1, 2))
    assert first.shape == (4, 1, 28, 28) and not first.requires_grad
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_an_unconditional_model_samples_a_number_of_images() -> None:
    model = make(VAE)
    assert model.sample(3, seeded()).shape == (3, 1, 28, 28)
    z, labels = model.sample_latent(3, seeded())
    assert z.shape == (3, 8) and labels is None
    assert torch.equal(model.sample(LABELS, seeded()), model.sample(4, seeded()))


def some_prior(model: VAE) -> tuple[Tensor, Tensor]:
    classes, _, size = model.prior.mean.shape
    mean = 3 * torch.randn(classes, size, generator=seeded(3))
    root = torch.randn(classes, size, size, generator=seeded(4))
    return mean, root @ root.mT + torch.eye(size)


@pytest.mark.parametrize("cls", [VAE, ConcatConditionalVAE])
def test_sample_latent_has_the_moments_of_the_fitted_prior(cls: type[VAE]) -> None:
    model = make(cls, 3)
    mean, covariance = some_prior(model)
    model.prior.set(mean, covariance)
    for label in (0, len(mean) - 1):
        asked = torch.full((40_000,), label)
        z, labels = model.sample_latent(asked, seeded())
        assert labels is None or torch.equal(labels, asked)
        torch.testing.assert_close(z.mean(0), mean[label], rtol=0, atol=0.08)
        torch.testing.assert_close(torch.cov(z.T), covariance[label], rtol=0.05, atol=0.15)
        half, _ = model.sample_latent(asked, seeded(), temperature=0.5)
        torch.testing.assert_close(torch.cov(half.T), covariance[label] / 4, rtol=0.05, atol=0.05)


def test_each_row_is_drawn_from_the_prior_of_its_own_label() -> None:
    model = make(ConcatConditionalVAE, 3)
    mean, covariance = some_prior(model)
    model.prior.set(mean, 1e-8 * covariance)
    z, _ = model.sample_latent(LABELS, seeded())
    torch.testing.assert_close(z, mean[LABELS], rtol=0, atol=1e-2)


def test_a_mixture_draws_each_component_as_often_as_its_weight_says() -> None:
    torch.manual_seed(0)
    model = VAE(2, prior_components=3)
    mean = torch.tensor([[[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]])
    covariance = torch.eye(2).repeat(1, 3, 1, 1) * torch.tensor([1.0, 0.25, 4.0]).view(1, 3, 1, 1)
    weight = torch.tensor([[0.5, 0.3, 0.2]])
    model.prior.set(mean, covariance, weight)
    z, _ = model.sample_latent(30_000, seeded())
    nearest = torch.cdist(z, mean[0]).argmin(1)
    shares = nearest.bincount() / len(z)
    torch.testing.assert_close(shares, weight[0], rtol=0, atol=0.015)
    for component, deviation in enumerate((1.0, 0.5, 2.0)):
        spread = z[nearest == component].std(0)
        torch.testing.assert_close(spread, torch.full((2,), deviation), rtol=0.05, atol=0)


def test_without_a_fitted_prior_z_is_standard_normal() -> None:
    model = make(ConcatConditionalVAE, 3)
    labels = torch.zeros(40_000, dtype=torch.long)
    before, _ = model.sample_latent(labels, seeded())
    torch.testing.assert_close(torch.cov(before.T), torch.eye(3), rtol=0, atol=0.03)
    model.prior.set(*some_prior(model))
    after, _ = model.sample_latent(labels, seeded(), fitted_prior=False)
    assert torch.equal(before, after)


@pytest.mark.parametrize("cls", [VAE, ConcatConditionalVAE])
def test_temperature_zero_draws_the_prior_mean(cls: type[VAE]) -> None:
    model = make(cls)
    mean, covariance = some_prior(model)
    model.prior.set(mean, covariance)
    which = LABELS if model.conditional else torch.zeros(4, dtype=torch.long)
    torch.testing.assert_close(
        model.sample(LABELS, temperature=0), model.decode(mean[which], LABELS)
    )


def test_prior_travels_in_the_state_dict() -> None:
    model, copy = make(ConcatConditionalVAE), make(ConcatConditionalVAE)
    model.prior.set(*some_prior(model))
    copy.load_state_dict(model.state_dict())
    assert torch.equal(model.sample(LABELS, seeded()), copy.sample(LABELS, seeded()))


def test_reconstruct_decodes_the_posterior_mean(x: Tensor) -> None:
    model = make(ConcatConditionalVAE)
    expected = model.decode(model.encode(x, LABELS)[0], LABELS)
    rebuilt = model.reconstruct(x, LABELS)
    assert torch.equal(rebuilt, expected) and not rebuilt.requires_grad


# Bad input


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            torch.zeros(2, 1, 27, 28),
            r"\(B, 1, 28, 28\) in .*, got torch.float32 \(2, 1, 27, 28\)",
        ),
        (torch.zeros(2, 3, 28, 28), r"got torch.float32 \(2, 3, 28, 28\)"),
        (torch.zeros(28, 28), r"got torch.float32 \(28, 28\)"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), r"got torch.uint8 \(2, 1, 28, 28\)"),
    ],
)
def test_wrong_images(bad: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(VAE).encode(bad)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_pixel_that_is_not_finite(value: float, x: Tensor) -> None:
    x[2, 0, 5, 5] = value
    with pytest.raises(ValueError, match=f"example 2 has the value {value}: every pixel"):
        make(VAE).encode(x)


@pytest.mark.parametrize("cls", CONDITIONAL)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "needs a label for each example"),
        (torch.tensor([0, 10, 1, -3]), "label 10 is out of range: known are 0 … 9"),
        (torch.tensor([0, 1, 2, -1]), "label -1 is out of range"),
        (
            torch.tensor([0.0, 1.0, 2.0, 3.0]),
            r"of shape \(4,\), got torch.float32 \(4,\)",
        ),
        (torch.tensor([0, 1, 2]), r"of shape \(4,\), got torch.int64 \(3,\)"),
        (torch.zeros(4, 1, dtype=torch.long), r"of shape \(4,\), got torch.int64 \(4, 1\)"),
    ],
)
def test_wrong_labels(cls: type[VAE], labels: Tensor | None, message: str, x: Tensor) -> None:
    model = make(cls)
    with pytest.raises(ValueError, match=message):
        model.encode(x, labels)
    with pytest.raises(ValueError, match=message):
        model.decode(torch.zeros(4, 8), labels)


@pytest.mark.parametrize("shape", [(4, 7), (4, 9), (8,), (4, 8, 1)])
def test_wrong_z(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"z must be \(B, 8\), got \(" + str(shape)[1:-1]):
        make(VAE).decode(torch.zeros(shape))


@pytest.mark.parametrize("temperature", [-0.5, float("nan"), float("inf")])
def test_wrong_temperature(temperature: float) -> None:
    with pytest.raises(ValueError, match=f"at least 0 and finite, got {temperature}"):
        make(ConcatConditionalVAE).sample(LABELS, temperature=temperature)


def test_wrong_condition_to_sample() -> None:
    with pytest.raises(ValueError, match=r"ConcatConditionalVAE samples for labels .* got 5"):
        make(ConcatConditionalVAE).sample(5)
    with pytest.raises(ValueError, match="label 10 is out of range"):
        make(ConcatConditionalVAE).sample(torch.tensor([10]))


def test_wrong_constructor_arguments() -> None:
    with pytest.raises(ValueError, match="unknown likelihood 'poisson': choose one of bernoulli"):
        VAE(likelihood="poisson")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown upsampling 'bilinear': choose 'article' or"):
        VAE(upsampling="bilinear")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="latent_dim must be at least 1, got 0"):
        VAE(latent_dim=0)
    with pytest.raises(ValueError, match="prior_components must be at least 1, got 0"):
        VAE(prior_components=0)


def test_wrong_prior() -> None:
    model = make(VAE)
    with pytest.raises(ValueError, match=r"must be \[\(1, 1, 8\), .*, got \[\(8,\)"):
        model.prior.set(torch.zeros(8), torch.eye(8)[None])
    with pytest.raises(ValueError, match=r"got \[\(1, 1, 8\), \(1, 1, 8, 9\), \(1, 1\)\]"):
        model.prior.set(torch.zeros(1, 8), torch.zeros(1, 8, 9))
    with pytest.raises(ValueError, match=r"\(1, 1\)\], got .* \(1, 3\)\]"):
        model.prior.set(torch.zeros(1, 8), torch.eye(8)[None], torch.ones(1, 3))


def test_a_prior_that_is_refused_leaves_the_former_one() -> None:
    model = make(VAE)
    before = model.sample(2, seeded())
    with pytest.raises(ValueError, match="positive definite"):
        model.prior.set(torch.ones(1, 8), -torch.eye(8)[None])
    with pytest.raises(ValueError, match="finite means"):
        model.prior.set(torch.full((1, 8), torch.nan), torch.eye(8)[None])
    assert torch.equal(model.sample(2, seeded()), before)


# The judge


def test_judge_shapes(x: Tensor) -> None:
    torch.manual_seed(0)
    judge = FashionJudge(width=4).eval()
    features = judge.features(x)
    assert features.shape == (4, 64) and features.min() >= 0
    torch.testing.assert_close(judge(x), judge.head(features))
    assert judge(x).shape == (4, 10)
    FashionJudge(**judge.architecture).load_state_dict(judge.state_dict())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("build", [FashionJudge, SceneJudge])
def test_a_judge_of_another_precision_judges(build, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    judge = build(8).eval().to(dtype)
    pictures = torch.rand(2, 1, 28, 28) if build is FashionJudge else torch.rand(2, 3, 32, 32)
    assert judge.features(pictures).isfinite().all()


def test_judge_is_trainable(x: Tensor) -> None:
    judge = FashionJudge(width=4)
    nn.functional.cross_entropy(judge(x), LABELS).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in judge.parameters())
