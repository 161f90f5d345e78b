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
    Wrong(
        "PyTorch's KL",
        "rate",
        "return 0.5 * (variance + squared - 1 - variance.log()).sum(1)",
        "d = torch.distributions\n"
        "    q = d.Normal(mean, torch.exp(s / power))\n"
        "    return d.kl_divergence(q, d.Normal(prior_mean, prior_std)).sum(1)",
        RATE,
    ),
    Wrong(
        "PyTorch's KL, imported in the function",
        "rate",
        "return 0.5 * (variance + squared - 1 - variance.log()).sum(1)",
        "from torch.distributions import kl, normal\n"
        "    q = normal.Normal(mean, torch.exp(s / power))\n"
        "    return kl.kl_divergence(q, normal.Normal(prior_mean, prior_std)).sum(1)",
        RATE,
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
    Wrong(
        "an encoder without a ReLU",
        "vae",
        "nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU())",
        "nn.Linear(pixels, hidden)",
        {"test-vae-parts"},
    ),
    Wrong(
        "a decoder without a ReLU",
        "vae",
        "nn.Linear(latent, hidden), nn.ReLU(), nn",
        "nn.Linear(latent, hidden), nn",
        {"test-vae-parts"},
    ),
    Wrong(
        "one more hidden layer",
        "vae",
        "nn.Linear(pixels, hidden), nn.ReLU()",
        "nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()",
        {"test-vae-parts"},
    ),
    Wrong("sample() for rsample()", "vae", "q.rsample(", "q.sample(", ELBO),
    Wrong("the KL's sign is flipped in the loss", "vae", "return kl -", "return -kl -", ELBO),
    Wrong(
        "the mean over the batch", "vae", "log_likelihood.mean(0)", "log_likelihood.mean()", ELBO
    ),
    Wrong(
        "the logarithm of the mean likelihood",
        "vae",
        "log_likelihood.mean(0)",
        "(log_likelihood.logsumexp(0) - math.log(count))",
        ELBO,
    ),
    Wrong(
        "no constant in the density",
        "vae",
        ".log_prob(x)",
        ".log_prob(x).add(math.log(noise))",
        ELBO,
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
    Wrong(
        "pictures that stand side by side",
        "train",
        "torch.randint(len(x), (batch,))",
        "torch.randint(len(x) - batch + 1, (1,)) + torch.arange(batch)",
        {"test-train"},
    ),
    Wrong(
        "one picture after another",
        "train",
        "for _ in range(steps):\n        rows = torch.randint(len(x), (batch,))",
        "for step in range(steps):\n        rows = (torch.arange(batch) + step * batch) % len(x)",
        {"test-train"},
    ),
    Wrong("another optimizer", "train", "optim.Adam(", "optim.AdamW(", {"test-train"}),
    Wrong(
        "a new optimizer in every step",
        "train",
        "        optimizer.zero_grad()",
        "        optimizer = torch.optim.Adam(model.parameters(), lr=0.002)\n"
        "        optimizer.zero_grad()",
        {"test-train"},
    ),
    Wrong("uphill", "train", "loss.backward()", "(-loss).backward()", {"test-train"}),
    Wrong("the sum over the batch", "train", "(x[rows]).mean()", "(x[rows]).sum()", {"test-train"}),
    Wrong("a list of tensors", "train", "loss.item()", "loss", {"test-train"}),
]
