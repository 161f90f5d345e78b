"""The conditioning experiment: its arms are what they are called, its records are all there."""

from __future__ import annotations

from pathlib import Path

import conditioning
import pytest
import torch
from conditioning import ARMS, HiddenVAE, build

from cvae_lib import evaluation, records
from cvae_lib.data import ImageSet
from cvae_lib.models import ConcatConditionalVAE
from cvae_lib.models.conditioning import Add
from cvae_lib.pretrained import record

DECLARED = [(arm, seed) for arm, (_, seeds) in ARMS.items() for seed in seeds]


@pytest.mark.parametrize(
    ("arm", "encoder_std", "decoder_std"),
    [
        ("additive", 1.0, 1.0),
        ("additive-small", 0.02, 0.02),
        ("additive-small-encoder", 0.02, 1.0),
        ("additive-small-decoder", 1.0, 0.02),
        ("additive-hidden", 0.02, 0.02),
    ],
)
def test_additive_arms_start_as_loud_as_they_say(
    arm: str, encoder_std: float, decoder_std: float
) -> None:
    model = build(arm, 0)
    assert isinstance(model.condition, Add)
    assert float(model.condition.to_features.weight.detach().std()) == pytest.approx(
        encoder_std, rel=0.05
    )
    assert float(model.condition.to_latent.weight.detach().std()) == pytest.approx(
        decoder_std, rel=0.1
    )


def test_arms_of_one_kind_differ_in_scale_alone() -> None:
    for first, second in (("concat", "concat-small"), ("film", "film-unit")):
        one, other = build(first, 0), build(second, 0)
        assert type(one) is type(other)
        same = {
            name
            for name, weight in one.state_dict().items()
            if torch.equal(weight, other.state_dict()[name])
        }
        changed = one.state_dict().keys() - same
        assert changed and all(name.startswith("condition.") for name in changed)


def test_the_hidden_arm_reaches_outside_the_column_space() -> None:
    model = HiddenVAE()
    labels = torch.arange(10)
    z = torch.zeros(10, 128)
    with torch.no_grad():
        maps = model.decoder_input(z).view(-1, 128, 4, 4)
        shifts = model.condition.maps(maps, labels, 0).flatten(1) - model.decoder_input.bias
        basis = torch.linalg.qr(model.decoder_input.weight).Q
    outside = shifts - (shifts @ basis) @ basis.T
    assert (outside.norm(dim=1) > 0.5 * shifts.norm(dim=1)).all()


def test_a_run_is_recorded_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fashion: dict[str, ImageSet]
) -> None:
    few = {"train": 600, "valid": 100, "test": 100}
    monkeypatch.setattr(
        conditioning, "fashion_mnist", lambda split: fashion[split].first(few[split])
    )
    monkeypatch.setattr(conditioning, "EPOCHS", 1)
    monkeypatch.setattr(conditioning, "PROBE_IMAGES", 300)
    monkeypatch.setattr(conditioning, "ARMS", {"concat": (ConcatConditionalVAE, range(1))})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluation, "SAMPLES", 100)
    monkeypatch.setattr(records, "FOLDER", tmp_path / "records")
    conditioning.main(["concat"])
    path = tmp_path / "records" / "conditioning" / "concat-0.json"
    (run,) = records.runs("conditioning")
    assert run["arm"] == "concat" and 0 <= run["metrics"]["linear_probe"] <= 1
    before = path.stat().st_mtime_ns
    conditioning.main(["concat"])
    assert path.stat().st_mtime_ns == before
    conditioning.main(["concat"], again=True)
    assert path.stat().st_mtime_ns > before
    (repeated,) = records.runs("conditioning")
    assert repeated["weights_sha256"] == run["weights_sha256"]  # from scratch, to the same bits
    assert repeated["metrics"] == run["metrics"]


def test_every_declared_run_is_kept_and_no_other() -> None:
    kept = {run["run"] for run in records.runs("conditioning")}
    assert kept == {f"{arm}-{seed}" for arm, seed in DECLARED}


def test_budgets_and_data_are_equal() -> None:
    first, *others = records.runs("conditioning")
    for run in others:
        assert run["config"] | {"seed": 0} == first["config"] | {"seed": 0}
        assert run["data"] == first["data"]
        assert len(run["history"]) == run["config"]["epochs"] == conditioning.EPOCHS
    assert first["config"]["seed"] == first["seed"]


def test_the_record_of_the_shipped_run_is_that_of_its_weights() -> None:
    """test_pretrained computes its bound again from the weights."""
    (run,) = (run for run in records.runs("conditioning") if run["run"] == "film-0")
    shipped = record("fashion-film")
    for name, value in shipped["metrics"].items():
        assert run["metrics"][name] == pytest.approx(value), name
