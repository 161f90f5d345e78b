"""Mistakes in problem set 1: a VAE from blank cells."""

from problem_sets import Wrong

DRAW, RATE, ELBO = {"test-draw", "test-draw-gradient"}, {"test-rate"}, {"test-vae-elbo"}

WRONG = [
    Wrong("σ for log σ", "draw", "torch.exp(s / power)", "s", DRAW),
    Wrong("the power is forgotten", "draw", "torch.exp(s / power)", "torch.exp(s)", DRAW),
    Wrong(
        "a batch shares its noise",
        "draw",
        "torch.randn(count, *mean.shape)",
        "torch.randn(count, 1, mean.shape[1])",
        {"test-draw"},
    ),
    Wrong(
        "uniform noise",
        "draw",
        "torch.randn(count, *mean.shape)",
        "(torch.rand(count, *mean.shape) - 0.5) * 12**0.5",
        {"test-draw"},
    ),
    Wrong(
        "the seed is fixed to please the visible test",
        "draw",
        "    sigma = torch.exp",
        "    torch.manual_seed(seed)\n    sigma = torch.exp",
        {"test-draw-gradient"},
    ),
    Wrong(
        "the draw is cut off from the gradient",
        "draw",
        "return mean + sigma *",
        "return mean.detach() + sigma.detach() *",
        {"test-draw-gradient"},
    ),
    Wrong("the KL's sign is flipped", "rate", "return 0.5 *", "return -0.5 *", RATE),
    Wrong("½ is missing", "rate", "return 0.5 *", "return", RATE),
    Wrong("σ for σ²", "rate", "torch.exp(2 * s / power)", "torch.exp(s / power)", RATE),
    Wrong("the mean over a code", "rate", ".sum(1)", ".mean(1)", RATE),
    Wrong("the sum over the batch", "rate", ".sum(1)", ".sum(0)", RATE),
    Wrong("the book's prior", "rate", "mean - prior_mean", "mean", RATE),
    Wrong("the prior's σ for its σ²", "rate", "/ prior_std**2", "/ prior_std", RATE),
    Wrong("no constant", "distortion", " + constant", "", {"test-distortion"}),
    Wrong(
        "the width is missing in the constant",
        "distortion",
        "math.log(2 * width / exponent)",
        "math.log(2 / exponent)",
        {"test-distortion"},
    ),
    Wrong("the mean over pixels", "distortion", ".sum(1)", ".mean(1)", {"test-distortion"}),
    Wrong("always squared", "distortion", "** exponent", "** 2", {"test-distortion"}),
    Wrong(
        "the prior's mean is taken for 0",
        "linear",
        "prior_mean / prior_std**2",
        "0",
        {"test-linear"},
    ),
    Wrong(
        "the precision is returned",
        "linear",
        "pull, covariance",
        "pull, precision",
        {"test-linear"},
    ),
    Wrong("τ for τ²", "linear", "W.T @ W / noise**2", "W.T @ W / noise", {"test-linear"}),
    Wrong(
        "the mean is not scaled back",
        "linear",
        "return covariance @ pull",
        "return pull",
        {"test-linear"},
    ),
    Wrong(
        "sigmoid twice",
        "vae",
        "return torch.sigmoid(self.decoder(z))",
        "return torch.sigmoid(torch.sigmoid(self.decoder(z)))",
        {"test-vae-parts"},
    ),
    Wrong(
        "no sigmoid", "vae", "torch.sigmoid(self.decoder(z))", "self.decoder(z)", {"test-vae-parts"}
    ),
    Wrong(
        "σ may be negative",
        "vae",
        "F.softplus(self.to_std(h)) + 0.01",
        "self.to_std(h)",
        {"test-vae-parts", *ELBO},
    ),
    Wrong(
        "the batch is normalised",
        "vae",
        "h = self.encoder(x)",
        "h = self.encoder(x - x.mean(0))",
        {"test-vae-parts"},
    ),
    Wrong("sample() for rsample()", "vae", "q.rsample(", "q.sample(", ELBO),
    Wrong("the KL's sign is flipped in the loss", "vae", "return kl -", "return -kl -", ELBO),
    Wrong(
        "the mean over the batch", "vae", "log_likelihood.mean(0)", "log_likelihood.mean()", ELBO
    ),
    Wrong(
        "one draw, whatever is asked",
        "vae",
        "kl_divergence(q, Normal",
        "count * kl_divergence(q, Normal",
        ELBO,
    ),
    Wrong(
        "the mean over pixels in the loss",
        "vae",
        ".log_prob(x).sum(2)",
        ".log_prob(x).mean(2)",
        ELBO,
    ),
    Wrong("gradients pile up", "train", "        optimizer.zero_grad()\n", "", {"test-train"}),
    Wrong(
        "the same pictures in every step",
        "train",
        "torch.randint(len(x), (batch,))",
        "torch.arange(batch)",
        {"test-train"},
    ),
    Wrong("uphill", "train", "loss.backward()", "(-loss).backward()", {"test-train"}),
    Wrong("the sum over the batch", "train", "(x[rows]).mean()", "(x[rows]).sum()", {"test-train"}),
    Wrong("a list of tensors", "train", "loss.item()", "loss", {"test-train"}),
]
