"""Command `info`."""

from __future__ import annotations

from cvae_lib import __version__
from cvae_lib.cli.common import device_called, table


def info() -> None:
    """Show versions, device, scale, data and the shipped models."""
    import platform

    import torch

    from cvae_lib.checkpoint import CheckpointError
    from cvae_lib.config import fastest_settings
    from cvae_lib.pretrained import FOLDER, RECIPES, hardware, record
    from cvae_lib.scale import choose_scale

    device = device_called(None)
    precision, channels_last = fastest_settings(device)
    rows = [
        ("cvae_lib", __version__),
        ("Python", platform.python_version()),
        ("PyTorch", torch.__version__),
        ("device", f"{device.type}: {hardware()}"),
        ("scale", str(choose_scale())),
        (
            "fastest here",
            f"{precision}{', channels-last' if channels_last else ''}",
        ),
        ("Fashion-MNIST", "shipped"),
    ]
    table("This machine", ("", ""), rows)
    models = []
    for name, recipe in RECIPES.items():
        weights = FOLDER / f"{name}.safetensors"
        try:
            metrics = record(name)["metrics"]
        except CheckpointError:
            metrics = {}
        metric = next((k for k in ("accuracy", "sse") if k in metrics), None)
        models.append(
            (
                name,
                recipe.about,
                f"{weights.stat().st_size / 1e6:.1f} MB" if weights.exists() else "missing",
                f"{metric} {metrics[metric]:.4g}" if metric else "no record",
            )
        )
    table("Shipped models", ("name", "what", "size", "on the test set"), models)
