"""The FID's network: from the published weights or none, and its numbers are torch-fidelity's."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import requests
import torch
from torch_fidelity import feature_extractor_inceptionv3 as fidelity

from cvae_lib import metrics
from cvae_lib.metrics import WEIGHTS_VARIABLE, InceptionFeatures

NETWORK = fidelity.FeatureExtractorInceptionV3


@pytest.fixture(scope="module")
def random_network(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """torch-fidelity's network as it is before weights are loaded."""
    path = tmp_path_factory.mktemp("inception") / "none.pth"
    torch.save({}, path)
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NETWORK, "load_state_dict", lambda self, state: None)
        return NETWORK("random", ["2048"], str(path))


@pytest.fixture(scope="module")
def weights(random_network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(random_network.state_dict(), path)
    return path


@pytest.fixture
def named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(weights))


def test_features_are_the_networks_whatever_the_batch(random_network: Any, named: None) -> None:
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    features = InceptionFeatures()(images, batch_size=2)
    expected = random_network((images * 255).round().to(torch.uint8))[0]
    assert features.shape == (3, 2048) and features.dtype == torch.float32
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (3, 32, 32)])
def test_pictures_of_other_shapes_are_refused(named: None, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be float \(B, 3, H, W\)"):
        InceptionFeatures()(torch.zeros(shape))


def test_the_hubs_cache_is_used_if_it_is_what_was_published(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise requests.ConnectionError("no route to host")

    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(requests, "get", refuse)
    cached = tmp_path / "checkpoints" / fidelity.URL_INCEPTION_V3.rpartition("/")[2]
    cached.parent.mkdir()
    cached.write_bytes(weights.read_bytes())
    with pytest.raises(
        FileNotFoundError, match=r"no sound Inception weights at .*no route to host"
    ):
        InceptionFeatures()
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    monkeypatch.setattr(metrics, "PUBLISHED", digest)
    assert InceptionFeatures()(torch.zeros(1, 3, 16, 16)).shape == (1, 2048)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match="is no file"):
        InceptionFeatures()


class Malice:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harm-was-done"),)


@pytest.mark.parametrize("content", [torch.nn.Linear(2, 2).state_dict(), Malice()])
def test_a_file_that_holds_something_else_is_refused_unexecuted(
    content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "weights.pth")
    monkeypatch.setenv(WEIGHTS_VARIABLE, "weights.pth")
    with pytest.raises(ValueError, match="does not hold Inception's weights"):
        InceptionFeatures()
    assert not Path("harm-was-done").exists()
    Path("weights.pth").write_bytes(b"")
    with pytest.raises(ValueError, match="does not hold Inception's weights"):
        InceptionFeatures()
