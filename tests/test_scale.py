"""The scale comes from $CVAE_SCALE, else from the machine."""

import pytest
import torch

from cvae_lib.scale import SCALES, choose_scale


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    """Pretend that there is a GPU, or that there is none."""

    def pretend(there: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: there)

    return pretend


@pytest.mark.parametrize("name", ["smoke", "cpu", "gpu"])
@pytest.mark.parametrize("there", [False, True])
def test_the_variable_decides(name: str, there: bool, gpu, monkeypatch) -> None:
    gpu(there)
    monkeypatch.setenv("CVAE_SCALE", name)
    scale = choose_scale()
    assert scale is SCALES[name] and scale.name == name
    assert scale.device == torch.device("cuda" if there else "cpu")


@pytest.mark.parametrize(("there", "name"), [(False, "cpu"), (True, "gpu")])
@pytest.mark.parametrize("variable", [None, ""])
def test_without_it_the_machine_decides(there: bool, name: str, variable, gpu, monkeypatch) -> None:
    gpu(there)
    monkeypatch.delenv("CVAE_SCALE", raising=False)
    if variable is not None:
        monkeypatch.setenv("CVAE_SCALE", variable)
    assert choose_scale().name == name


def test_an_unknown_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVAE_SCALE", "huge")
    with pytest.raises(ValueError, match="CVAE_SCALE is 'huge': choose one of smoke, cpu, gpu"):
        choose_scale()


def test_scales_grow() -> None:
    smoke, cpu, gpu = SCALES["smoke"], SCALES["cpu"], SCALES["gpu"]
    assert (smoke.train_images or 0) < (cpu.train_images or 0) and gpu.train_images is None
    assert smoke.epochs < cpu.epochs < gpu.epochs
    assert smoke.samples < cpu.samples < gpu.samples
    assert min(scale.seeds for scale in SCALES.values()) >= 2  # a comparison needs a spread


def test_a_scale_tells_the_reader_what_ran(gpu) -> None:
    gpu(False)
    expected = "scale cpu: 20,000 training images, 5 epochs, on the CPU"
    assert str(SCALES["cpu"]) == expected
    gpu(True)
    assert str(SCALES["gpu"]) == "scale gpu: all training images, 40 epochs, on the CUDA"
