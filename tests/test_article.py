"""The article's classes, written anew in benchmarks/, are the referee for ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import busy
import pytest
import torch
from article import ArticleAdditive, ArticleConcat, PillowImages, article_loss, copy_by_shape
from torch import Tensor, nn

from cvae_lib.data import ImageSet, to_unit
from cvae_lib.losses import elbo
from cvae_lib.models import VAE, AdditiveConditionalVAE, ConcatConditionalVAE

ArticleModel = ArticleConcat | ArticleAdditive
ROOT = Path(__file__).resolve().parent.parent
PAIRS = [(ArticleConcat, ConcatConditionalVAE), (ArticleAdditive, AdditiveConditionalVAE)]
both = pytest.mark.parametrize(("article_class", "our_class"), PAIRS, ids=["concat", "additive"])


def mapped(article_class: type[ArticleModel], our_class: type[VAE]) -> tuple[ArticleModel, VAE]:
    """The article's model with weights of which no two are alike, and ours with the same ones."""
    torch.manual_seed(0)
    article, ours = article_class(), our_class()
    for parameter in article.parameters():
        nn.init.normal_(parameter, std=0.05)
    copy_by_shape(article.state_dict(), ours)
    return article.eval(), ours.eval()


def batch(data: ImageSet) -> tuple[Tensor, Tensor]:
    return to_unit(data.images[:32]), data.labels[:32]


@both
@torch.no_grad()
def test_the_articles_weights_in_our_class_give_the_same_output(
    article_class: type[ArticleModel], our_class: type[VAE], tiny: tuple[ImageSet, ImageSet]
) -> None:
    article, ours = mapped(article_class, our_class)
    x, labels = batch(tiny[0])
    mu, logvar = article.encode(x, labels)
    our_mu, our_logvar = ours.encode(x, labels)
    torch.testing.assert_close(our_mu, mu)
    torch.testing.assert_close(our_logvar, logvar)
    assert (mu - logvar).abs().mean() > 0.1, "the heads must differ for this test to see a swap"
    torch.testing.assert_close(ours.decode(mu, labels), article.decode(mu, labels))
    torch.testing.assert_close(ours.reconstruct(x, labels), article.decode(mu, labels))


@both
@torch.no_grad()
def test_the_articles_summed_loss_is_our_bound_times_the_batch(
    article_class: type[ArticleModel], our_class: type[VAE], tiny: tuple[ImageSet, ImageSet]
) -> None:
    article, ours = mapped(article_class, our_class)
    x, labels = batch(tiny[0])
    torch.manual_seed(7)  # both draw their noise from the global generator
    output, mu, logvar = article(x, labels)
    summed = article_loss(output, x, mu, logvar)
    torch.manual_seed(7)
    terms = elbo(ours, x, labels)
    torch.testing.assert_close(terms["loss"].mean(), summed / len(x), rtol=1e-5, atol=0)
    assert terms["kl"].mean() > 1, "a KL term near 0 would hide behind the reconstruction"


@both
def test_our_buffers_stay_and_every_weight_has_one_place(
    article_class: type[ArticleModel], our_class: type[VAE]
) -> None:
    article, ours = mapped(article_class, our_class)
    for name, buffer in our_class().named_buffers():
        assert torch.equal(ours.get_buffer(name), buffer), name
    weights = article.state_dict()
    assert sum(w.numel() for w in weights.values()) == sum(p.numel() for p in ours.parameters())
    with pytest.raises(ValueError, match=r"no unused tensor of shape \(1,\) for decoder"):
        copy_by_shape(dict(list(weights.items())[:-1]), ours)
    with pytest.raises(ValueError, match=r"no parameter for tensors of shape \[\(7, 3\)\]"):
        copy_by_shape({**weights, "extra": torch.zeros(7, 3)}, ours)


def test_the_articles_sizes() -> None:
    sizes = [sum(p.numel() for p in build().parameters()) for build, _ in PAIRS]
    assert sizes == [1_007_041, 954_753]


def test_the_loader_gives_the_pixels_and_labels_of_the_set(
    tiny: tuple[ImageSet, ImageSet],
) -> None:
    items = PillowImages(tiny[0])
    assert len(items) == len(tiny[0])
    for index in (0, 100, 255):
        image, label = items[index]
        assert torch.equal(image, tiny[0].pixels()[index])
        assert label == int(tiny[0].labels[index])


def test_a_busy_machine_is_measured() -> None:
    alone, beside_one = busy.speeds(128, loads=(0, 1))
    assert alone > 0 and beside_one > 0


def test_the_benchmark_ends_in_a_ratio(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "train_speed.py")]
    command += ["--images", "256", "--rounds", "1", "--device", "cpu"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert re.fullmatch(r"ratio: \d+\.\d\d", lines[-1]), ran.stdout
    losses = [float(value) for value in re.findall(r"([\d.]+) nats", lines[-2])]
    assert len(losses) == 2 and all(200 < value < 600 for value in losses), lines[-2]
    assert [line.split("  ")[0].strip() for line in lines[2:4]] == ["warm-up", "round 1"]
