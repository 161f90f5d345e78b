"""The decoder that reads what it has drawn: it sees what came before, never what comes."""

from __future__ import annotations

import torch
from rate_distortion import CausalConv, RowVAE, free_objective

from cvae_lib.models import VAE


def test_causal_convolution_sees_above_and_left() -> None:
    torch.manual_seed(0)
    layer = CausalConv(1, 3)
    x = torch.zeros(1, 1, 5, 5, requires_grad=True)
    layer(x)[0, 0, 2, 2].backward()
    assert x.grad is not None
    assert x.grad[0, 0].nonzero().tolist() == [[1, 1], [1, 2], [1, 3], [2, 1]]


def test_row_decoder_reads_every_earlier_pixel_and_no_later_one() -> None:
    torch.manual_seed(0)
    model = RowVAE(latent_dim=4)
    x = torch.zeros(1, 1, 28, 28, requires_grad=True)
    z = torch.randn(1, 4, requires_grad=True)
    model.logits(z, x)[0, 0, 20, 14].backward()
    assert x.grad is not None and z.grad is not None and z.grad.any()
    read = x.grad[0, 0] != 0
    assert read[:20].all()  # whole rows, through the recurrent network
    assert read[20, 11:14].all() and not read[20, 14:].any() and not read[21:].any()


def test_free_nats_are_not_charged() -> None:
    torch.manual_seed(0)
    model, x = VAE(4, "binarised"), torch.rand(8, 1, 28, 28)
    labels = torch.zeros(8, dtype=torch.long)

    def terms(free: float) -> dict[str, torch.Tensor]:
        return free_objective(free)(model, x, labels, torch.Generator().manual_seed(0), 0.5)

    for free in (0.0, 50.0):
        row = terms(free)
        charged = row["kl"].mean().clamp_min(free)
        torch.testing.assert_close(row["loss"], row["nll"] + 0.5 * charged)
    assert terms(50.0)["kl"].mean() < 50  # so the last comparison was of free nats
