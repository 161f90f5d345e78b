"""The scale comes from $CVAE_SCALE, else from the machine."""

import pytest
import torch

from cvae_lib.scale import DIFFERS, SCALES, choose_scale


def pretend(monkeypatch: pytest.MonkeyPatch, gpu: bool, name: str | None) -> None:
    """Pretend that there is a GPU or none, and that $CVAE_SCALE is ``name`` or not set."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.delenv("CVAE_SCALE", raising=False)
    if name is not None:
        monkeypatch.setenv("CVAE_SCALE", name)


@pytest.mark.parametrize("gpu", [False, True])
def test_the_variable_decides_else_the_machine(gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (None, "", *SCALES):
        pretend(monkeypatch, gpu, name)
        scale = choose_scale()
        assert scale is SCALES[name or ("gpu" if gpu else "cpu")]
        assert scale.device == torch.device("cuda" if gpu else "cpu")


def test_an_unknown_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, False, "huge")
    with pytest.raises(ValueError, match="CVAE_SCALE is 'huge': choose one of smoke, cpu, gpu"):
        choose_scale()


def test_scales_grow() -> None:
    smoke, cpu, gpu = SCALES["smoke"], SCALES["cpu"], SCALES["gpu"]
    assert (smoke.train_images or 0) < (cpu.train_images or 0) and gpu.train_images is None
    assert smoke.epochs < cpu.epochs < gpu.epochs
    assert smoke.samples < cpu.samples < gpu.samples
    assert min(scale.seeds for scale in SCALES.values()) >= 2  # a comparison needs a spread


def test_a_scale_tells_the_reader_what_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, False, None)
    expected = "scale cpu: 20,000 training images, 5 epochs, on the CPU"
    assert str(SCALES["cpu"]) == expected
    pretend(monkeypatch, True, None)
    assert str(SCALES["gpu"]) == "scale gpu: all training images, 20 epochs, on the CUDA"


def test_what_scale_and_device_may_change(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A claim that does not hold ends a chapter where the book is made, and nowhere else."""
    pretend(monkeypatch, False, None)
    assert SCALES["gpu"].rounding == {}
    for name, gpu in (("smoke", False), ("cpu", False), ("gpu", False), ("cpu", True)):
        pretend(monkeypatch, gpu, None)
        SCALES[name].expect(torch.tensor(2.0) > 1, "two is more than one")
        assert capsys.readouterr().out == ""
        if name == "gpu" or gpu:
            SCALES[name].expect(False, "tea is cold")
            assert capsys.readouterr().out == f"{DIFFERS}tea is cold\n"
        else:
            with pytest.raises(AssertionError, match=r"^tea is cold$"):
                SCALES[name].expect(False, "tea is cold")
    torch.testing.assert_close(torch.ones(2), torch.full((2,), 1.01), **SCALES["gpu"].rounding)
