"""The article's two CVAEs and its training loop, as they are: what `train_speed.py` runs against.

Written anew from the article's shapes, without `cvae_lib.models`: the decoder ends in a sigmoid,
the loss is summed over the batch, and each image comes as a PIL image through `ToTensor` and a
`DataLoader`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor

from cvae_lib.data import ImageSet

BATCH_SIZE = 128
LEARNING_RATE = 1e-3  # Adam's, constant
LATENT_DIM = 128
N_CLASSES = 10
FEATURES = 128 * 4 * 4


def encoder() -> nn.Sequential:
    """(B, 1, 28, 28) → (B, 2048)."""
    return nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 128, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
    )


def decoder() -> nn.Sequential:
    """(B, 2048) → (B, 1, 28, 28) in [0, 1]."""
    return nn.Sequential(
        nn.Unflatten(1, (128, 4, 4)),
        nn.ConvTranspose2d(128, 64, kernel_size=2, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, kernel_size=3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, kernel_size=3, stride=2, padding=1, output_padding=1),
        nn.Sigmoid(),
    )


def draw(mu: Tensor, logvar: Tensor) -> Tensor:
    """z = μ + σ·ε, the noise from torch's global generator."""
    std = torch.exp(0.5 * logvar)
    return mu + std * torch.randn_like(std)


class ArticleConcat(nn.Module):
    """The label's embedding is appended to the features and to z."""

    def __init__(self) -> None:
        super().__init__()
        self.label_embedding = nn.Embedding(N_CLASSES, 32)
        self.encoder = encoder()
        self.fc_mu = nn.Linear(FEATURES + 32, LATENT_DIM)
        self.fc_logvar = nn.Linear(FEATURES + 32, LATENT_DIM)
        self.decoder_input = nn.Linear(LATENT_DIM + 32, FEATURES)
        self.decoder = decoder()

    def encode(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.cat([self.encoder(x), self.label_embedding(labels)], dim=1)
        return self.fc_mu(h), self.fc_logvar(h)

    def decode(self, z: Tensor, labels: Tensor) -> Tensor:
        h = torch.cat([z, self.label_embedding(labels)], dim=1)
        return self.decoder(self.decoder_input(h))

    def forward(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x, labels)
        return self.decode(draw(mu, logvar), labels), mu, logvar


class ArticleAdditive(nn.Module):
    """One embedding of the label is added to the features, a second one to z."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder_embedding = nn.Embedding(N_CLASSES, FEATURES)
        self.decoder_embedding = nn.Embedding(N_CLASSES, LATENT_DIM)
        self.encoder = encoder()
        self.fc_mu = nn.Linear(FEATURES, LATENT_DIM)
        self.fc_logvar = nn.Linear(FEATURES, LATENT_DIM)
        self.decoder_input = nn.Linear(LATENT_DIM, FEATURES)
        self.decoder = decoder()

    def encode(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(x) + self.encoder_embedding(labels)
        return self.fc_mu(h), self.fc_logvar(h)

    def decode(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.decoder(self.decoder_input(z + self.decoder_embedding(labels)))

    def forward(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x, labels)
        return self.decode(draw(mu, logvar), labels), mu, logvar


def article_loss(output: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """−ELBO summed over the batch, in nats: binary cross-entropy + KL(q ‖ N(0, I))."""
    reconstruction = F.binary_cross_entropy(output, x, reduction="sum")
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return reconstruction + kl


class PillowImages(Dataset[tuple[Tensor, int]]):
    """An `ImageSet` that gives its items as `torchvision.datasets.FashionMNIST` does.

    Each item is a PIL image made from its bytes, turned into a float tensor by `ToTensor`.
    """

    def __init__(self, images: ImageSet) -> None:
        self.data, self.targets = images.images[:, 0].cpu(), images.labels.cpu()
        self.transform = ToTensor()

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.data[index].numpy())
        return self.transform(image), int(self.targets[index])


def article_loader(images: ImageSet) -> DataLoader[tuple[Tensor, int]]:
    return DataLoader(PillowImages(images), batch_size=BATCH_SIZE, shuffle=True, num_workers=0)


def article_epoch(
    model: nn.Module,
    loader: DataLoader[tuple[Tensor, int]],
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> float:
    """Train for one epoch; return the mean −ELBO of its images in nats."""
    model.train()
    total, count = 0.0, 0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        output, mu, logvar = model(images, labels)
        loss = article_loss(output, images, mu, logvar)
        loss.backward()
        optimizer.step()
        total += loss.item()
        count += len(images)
    return total / count


@torch.no_grad()
def copy_by_shape(source: Mapping[str, Tensor], target: nn.Module) -> None:
    """Copy a state dict of the article's model into ours, whatever the names.

    Each parameter of ``target``, in order, takes the first unused tensor of its shape. Our
    buffers (prior, observation log σ²) have no counterpart in the article's and stay.

    Raises:
        ValueError: if a parameter finds no tensor or a tensor no parameter.
    """
    unused = list(source.values())
    for name, ours in target.named_parameters():
        match = next((i for i, theirs in enumerate(unused) if theirs.shape == ours.shape), None)
        if match is None:
            raise ValueError(f"no unused tensor of shape {tuple(ours.shape)} for {name}")
        ours.copy_(unused.pop(match))
    if unused:
        raise ValueError(f"no parameter for tensors of shape {[tuple(t.shape) for t in unused]}")
