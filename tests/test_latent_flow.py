"""A VAE whose code is a map, and the flow over it."""

from __future__ import annotations

import pytest
import torch

from cvae_lib.encoders import SemanticTextEncoder
from cvae_lib.losses import elbo
from cvae_lib.models.latent_flow import LatentFlow, MapVAE, latent_flow_matching


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def flow() -> LatentFlow:
    torch.manual_seed(0)
    return LatentFlow(16, vae_width=4, word_dim=256, width=16, blocks=2).eval()


@pytest.fixture
def words() -> torch.Tensor:
    return SemanticTextEncoder().words(["a red circle", "a blue square above a star", "a ring"])


def test_a_map_is_the_code() -> None:
    torch.manual_seed(0)
    vae = MapVAE(32, 4, width=4).eval()
    assert vae.latent_dim == 4 * 4 * 4
    x = torch.rand(3, 3, 32, 32)
    mu, logvar = vae.encode(x)
    assert mu.shape == logvar.shape == (3, 64)
    assert vae.reconstruct(x).shape == x.shape == vae.sample(3).shape
    moved = x.clone()
    moved[:, :, :8, :8] = 0  # what lies far away in the picture is far away in the code
    change = (vae.encode(moved)[0] - mu).abs().unflatten(1, (4, 4, 4)).sum((0, 1))
    assert change[0, 0] > 0 and not change[3, 3]
    with pytest.raises(ValueError, match="image_size must be a multiple of 8, got 20"):
        MapVAE(20)
    assert elbo(vae, x)["loss"].shape == (3,)


def test_only_the_flow_learns(flow: LatentFlow, words: torch.Tensor) -> None:
    flow.train()
    terms = latent_flow_matching(flow, torch.rand(3, 3, 16, 16), words, seeded())
    assert terms["loss"].shape == (3,) and flow.vae.training
    terms["loss"].mean().backward()
    learns = {name for name, p in flow.named_parameters() if p.grad is not None}
    assert learns and not any(name.startswith("vae.") for name in learns)


def test_the_codes_of_the_vae_it_takes_over_have_mean_0_and_variance_1(flow: LatentFlow) -> None:
    vae, x = MapVAE(16, width=4), torch.rand(300, 3, 16, 16)
    torch.nn.init.normal_(vae.to_moments.bias, std=2.0)
    flow.adopt(vae, x)
    assert torch.equal(flow.vae.to_rgb.weight, vae.to_rgb.weight)
    codes = flow.codes(x, seeded())
    assert codes.shape == (300, 4, 4)
    torch.testing.assert_close(codes.mean((0, 2)), torch.zeros(4), atol=0.2, rtol=0)
    torch.testing.assert_close(codes.std((0, 2)), torch.ones(4), atol=0.2, rtol=0)


def test_an_untrained_flow_decodes_noise(flow: LatentFlow, words: torch.Tensor) -> None:
    drawn = flow.sample(words, seeded())
    noise = torch.randn(3, flow.vae.latent_dim, generator=seeded())
    torch.testing.assert_close(drawn, flow.vae.decode(noise))
    torch.testing.assert_close(flow.sample(words, seeded(), guidance=3.0), drawn)
    torch.nn.init.normal_(flow.out.weight)
    for block in flow.network:
        torch.nn.init.normal_(block.told.weight, std=0.1)
    assert not torch.allclose(flow.sample(words, seeded()), drawn)
    with_text = flow.sample(words, seeded(), guidance=1.0)
    assert not torch.allclose(flow.sample(words, seeded(), guidance=3.0), with_text)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 256), {}, r"text vectors must be float \(B, L, 256\), got torch.float32 \(2, 256\)"),
        ((2, 3, 64), {}, r"must be float \(B, L, 256\)"),
        ((2, 3, 256), {"steps": 0}, "steps must be at least 1, got 0"),
        ((2, 3, 256), {"guidance": -1.0}, "guidance must be finite and at least 0, got -1.0"),
    ],
)
def test_bad_input(
    flow: LatentFlow, shape: tuple[int, ...], options: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        flow.sample(torch.ones(shape), **options)  # type: ignore[arg-type]


def test_it_learns_which_code_belongs_to_which_text(
    flow: LatentFlow, words: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = torch.tensor([-2.0, 0.0, 2.0])[:, None, None].expand(-1, 4, 4)
    monkeypatch.setattr(flow, "codes", lambda x, generator: codes)
    optimizer = torch.optim.Adam([p for p in flow.parameters() if p.requires_grad], 3e-3)
    for step in range(200):
        loss = latent_flow_matching(flow, torch.zeros(3), words, seeded(step))["loss"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    drawn: list[torch.Tensor] = []
    monkeypatch.setattr(flow.vae, "decode", drawn.append)
    flow.sample(words, seeded(1), temperature=0.5, guidance=1.0)
    assert (drawn[0].mean(1) - codes.mean((1, 2))).abs().max() < 0.7
