"""The command line: what it prints, what it writes, and one line for each mistake."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cvae_lib import __version__, evaluation, pretrained, recipes
from cvae_lib.checkpoint import read_tensors, write_tensors
from cvae_lib.cli import main
from cvae_lib.data import write_scenes
from cvae_lib.encoders import HashingTextEncoder
from cvae_lib.pretrained import load_checkpoint
from cvae_lib.recipes import RECIPES
from cvae_lib.text import text_to_images
from cvae_lib.train import NonFiniteLossError

Captured = pytest.CaptureFixture[str]
TINY = ["--epochs", "1", "--images", "1000", "--batch-size", "100", "--device", "cpu"]
TEXT = ["train", "text", "--size", "16", "--latent", "8", "--width", "4", "--epochs", "1"]
TEXT += ["--batch-size", "32", "--device", "cpu"]
SLOW = (
    "fashion-judge", "scenes-judge", "scenes-film", "scenes-attend", "scenes-map", "scenes-flow"
)  # fmt: skip


@pytest.fixture(autouse=True)
def _small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CVAE_SCALE", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(evaluation, "SAMPLES", 200)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A checkpoint of each kind of model, trained for a moment, by its name."""
    folder = tmp_path_factory.mktemp("checkpoints")
    commands = {
        "sigma": ["train", "fashion-concat-sigma", *TINY],
        "text": [*TEXT, "--scenes", "100"],
        "no text": [*TEXT, "--scenes", "40", "--conditioning", "none"],
        "words": [*TEXT, "--scenes", "40", "--conditioning", "attend", "--encoder", "semantic"],
    }
    made = {name: str(folder / f"{name}.safetensors") for name in (*commands, *SLOW)}
    for name, command in commands.items():
        assert main([*command, "--out", made[name]]) == 0
    for name in SLOW:  # to validate on the command line
        config = replace(RECIPES[name].config, epochs=1, batch_size=20)
        sets = (RECIPES[name].data(*split) for split in (("train", 40), ("valid", 10)))
        recipes.train_recipe(name, *sets, config=config, checkpoint=made[name])
    return made


def one_line(capsys: Captured) -> str:
    """What went to stderr: one line, no traceback, no place in the code."""
    err = capsys.readouterr().err
    assert err.startswith("cvae: ") and err.count("\n") == 1, err
    assert "Traceback" not in err and ".py" not in err, err
    return err


# Help.


@pytest.mark.parametrize(
    ("arguments", "commands"),
    [([], "train sample evaluate data info"), (["data"], "coco scenes")],
)
def test_alone_it_shows_the_commands_and_each_helps_with_examples(
    arguments: list[str], commands: str, capsys: Captured
) -> None:
    assert main(arguments) == main([*arguments, "--help"]) == 0
    out, err = capsys.readouterr()
    for command in commands.split():
        assert len(re.findall(rf"^\W+{command} ", out, re.M)) == 2, command
        assert main([*arguments, command, "--help"]) == 0
        helped, err = capsys.readouterr()
        example = " ".join(["python -m cvae_lib", *arguments, command])
        assert "Examples:" in helped and example in helped and err == ""


def test_the_help_of_train_names_every_recipe(capsys: Captured) -> None:
    main(["train", "--help"])
    words = capsys.readouterr().out.replace(".", " ").replace(",", " ").split()
    assert not RECIPES.keys() - set(words)


# Mistakes.


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("train fashion-gan", "no model 'fashion-gan': choose one of fashion-judge, "),
        ("train fashion-vae --epochs 0", "epochs must be at least 1, got 0"),
        ("train fashion-vae --seed -1", "seed must be at least 0, got -1"),
        ("train fashion-vae --images 0", "Invalid value for '--images'"),
        ("train fashion-vae --out .", "cannot write .: --out must name a file in a folder"),
        ("train fashion-vae --out ~no-such-user/x", "want a path without ~"),
        ("train fashion-vae --out taken/x.safetensors", "taken"),
        ("train fashion-vae --device abacus", "no device 'abacus' here"),
        ("train fashion-vae --cheese", "No such option: --cheese"),
        ("train fashion-vae --size 64", "--size is an option of train text, not of train fashion"),
        ("train fashion-concat-sigma --images 60", "needs at least 1,000 training images"),
        ("train", "Missing argument 'name'"),
        ("train text", "train text needs either --scenes COUNT or --coco FOLDER"),
        ("train text --scenes 0", "Invalid value for '--scenes'"),
        ("train text --scenes 9 --size 48", "image_size must be 16, 32, 64"),
        ("train text --scenes 9 --conditioning hope", "unknown conditioning 'hope'"),
        (
            "train text --scenes 9 --encoder ear",
            "unknown text encoder 'ear': choose one of hashing",
        ),
        ("train text --scenes 9 --precision float8", "precision must be one of None"),
        ("train text --coco nowhere", "captions_val2017.json does not exist"),
        ("evaluate fashion-gan", "no model and no file 'fashion-gan'"),
        ("evaluate fashion-judge --images -1", "Invalid value for '--images'"),
        ("dance", "No such command 'dance'"),
        ("data dance", "No such command 'dance'"),
        ("data coco --root /nowhere --size 0", "must be at least 1, got 0"),
        ("data coco --download test2017", "unknown split to download 'test2017'"),
        ("data scenes", "Missing option '--out'"),
    ],
)
def test_mistakes_are_one_line(
    command: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("a file")
    assert main(command.split()) == 2
    assert reason.casefold() in one_line(capsys).casefold()


def test_another_process_says_which_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert main(["train", "fashion-gan"]) == 2
    assert capsys.readouterr().err.startswith("cvae, process 1: no model 'fashion-gan'")


# Sample.


def test_sample_writes_a_row_for_each_garment(
    checkpoints: dict[str, str], tmp_path: Path, capsys: Captured
) -> None:
    trained = checkpoints["sigma"]
    out = tmp_path / "new folder" / "picture.png"
    text = "two dark hoodies and red handbags"
    assert main(["sample", text, "--out", str(out), "--model", trained, "--n", "3"]) == 0
    said, told = capsys.readouterr()
    assert f"“{text}” → 2 dark Pullover, 3 Bag in " in said
    assert told == "cvae: ignored red: these garments cannot be drawn so\n"
    image = Image.open(out)
    assert image.format == "PNG" and image.mode == "RGB"
    assert image.size == (4 * (3 * 29 + 1), 4 * (2 * 29 + 1))  # width, height
    pixels = np.asarray(image.convert("L"))
    assert (pixels.reshape(59, 4, 88, 4) == pixels[::4, None, ::4, None]).all()  # nearest, 4 times
    generator = torch.Generator().manual_seed(0)
    expected, _ = text_to_images(load_checkpoint(trained), text, 3, generator)
    small = torch.tensor(pixels[::4, ::4])
    assert torch.equal(small[30:58, 59:87], expected[1][2, 0].mul(255).round().byte())
    assert (small[1:29, 59:87] == 255).all()  # no third hoodie


def test_sample_depends_on_seed_and_temperature(
    checkpoints: dict[str, str], tmp_path: Path
) -> None:
    drawn, model, file = [], checkpoints["sigma"], tmp_path / "x.png"
    for chosen in ([], [], ["--seed", "1"], ["--temperature", "0.5"]):
        assert main(["sample", "boots", "--out", str(file), "--model", model, *chosen]) == 0
        drawn.append(file.read_bytes())
    assert drawn[0] == drawn[1] and len(set(drawn)) == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text": "a fast car"}, "no garment word in 'a fast car'; known words include"),
        ({"text": ""}, "no garment word in ''"),
        ({"--n": "0"}, "Invalid value for '--n'"),
        ({"--temperature": "-1"}, "temperature must be at least 0 and finite, got -1.0"),
        ({"--seed": "-1"}, "Invalid value for '--seed'"),
        ({"--model": "fashion-gan"}, "no model and no file 'fashion-gan': choose one of"),
        ({"--model": "{tmp}/gone.safetensors"}, "gone.safetensors': choose one of"),
        ({"--model": "{tmp}/half.safetensors"}, "half.safetensors is no checkpoint of this libr"),
        ({"--model": "{tmp}/mine.pt"}, "mine.pt is no checkpoint of this library"),
        ({"--model": "{tmp}"}, "no model and no file '{tmp}'"),
        ({"--model": "~no-such-user/x"}, "want a path without ~"),
        ({"--model": "fashion-vae"}, "VAE takes no label"),
        ({"--model": "{scenes-judge}"}, "SceneJudge takes no label"),
        ({"--out": "{tmp}/picture.jpg"}, "--out must be a file name that ends in .png"),
        ({"--out": "{tmp}/folder.png"}, "cannot write {tmp}/folder.png (Is a directory)"),
        ({"--out": "{tmp}/half.safetensors/x.png"}, "half.safetensors"),
        ({"--out": "~no-such-user/x.png"}, "want a path without ~"),
    ],
)
def test_mistakes_of_sample_are_one_line(
    changes: dict[str, str],
    reason: str,
    checkpoints: dict[str, str],
    tmp_path: Path,
    capsys: Captured,
) -> None:
    trained = checkpoints["sigma"]
    content = Path(trained).read_bytes()
    (tmp_path / "half.safetensors").write_bytes(content[: len(content) // 2])
    torch.save({"weight": torch.ones(2)}, tmp_path / "mine.pt")
    (tmp_path / "folder.png").mkdir()
    chosen = {"text": "a dress", "--out": "{tmp}/picture.png", "--model": trained} | changes
    places = checkpoints | {"tmp": str(tmp_path)}
    options = {k: v.format_map(places) for k, v in chosen.items()}
    arguments = ["sample", options.pop("text"), *(a for pair in options.items() for a in pair)]
    assert main(arguments) == 2
    said = one_line(capsys)
    assert reason.format_map(places) in said and "delete" not in said
    assert not (tmp_path / "picture.png").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("scenes-film", "scenes-attend", "fashion-concat", "{scenes-film}", "{scenes-attend}"),
        *("{text}", "{no text}", "{words}"),
    ],
)
def test_shipped_models_and_checkpoints_are_sampled_alike(
    name: str, checkpoints: dict[str, str], tmp_path: Path, capsys: Captured
) -> None:
    text = "a dress" if name == "fashion-concat" else "a red circle above a blue square"
    out, model = tmp_path / "x.png", name.format_map(checkpoints)
    assert main(["sample", text, "--model", model, "--out", str(out), "--n", "2"]) == 0
    assert Image.open(out).mode == "RGB"
    assert capsys.readouterr().err == ""


def test_words_that_a_model_has_never_read_are_named(tmp_path: Path, capsys: Captured) -> None:
    command = ["sample", "红色圆圈 and a circle", "--model", "scenes-film"]
    assert main([*command, "--out", str(tmp_path / "x.png")]) == 0
    said = one_line(capsys)
    assert "红色圆圈" in said and "circle" not in said


def test_a_path_may_begin_with_a_tilde(
    checkpoints: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").write_bytes(Path(checkpoints["sigma"]).read_bytes())
    assert main(["sample", "a dress", "--model", "~/m", "--out", "~/x.png"]) == 0
    assert main([*TEXT, "--scenes", "9", "--out", "~/text"]) == 0
    assert main(["data", "scenes", "--count", "3", "--size", "16", "--out", "~/scenes"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"m", "x.png", "text", "scenes"}


# Train.


def test_train_tells_and_goes_on(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "runs" / "concat.safetensors"
    command = ["train", "fashion-concat-sigma", "--out", str(path), *TINY, "--no-progress"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "epoch 1 of 1: validation loss" in out and f"The model is in {path}" in out
    table = re.findall(r"│ (\w+) +│ +(\S+) +│ +(\S+) +│", out)
    assert [row[0] for row in table] == ["loss", "nll", "kl"]
    assert err == ""
    content = path.read_bytes()
    assert main(command) == 0  # finished already: it says the same and changes nothing
    again = capsys.readouterr().out
    assert path.read_bytes() == content and "epoch 1 of 1" not in again
    assert re.findall(r"│ (\w+) +│ +(\S+) +│ +(\S+) +│", again) == table
    assert main([*command, "--seed", "1"]) == 2
    err = capsys.readouterr().err
    assert "its config's seed is 0, here it is 1" in err and "Traceback" not in err
    assert main([*command, "--seed", "1", "--no-resume", "--progress"]) == 0
    out, err = capsys.readouterr()
    assert "images/s=" in err and "epoch 1 of 1" not in out
    assert path.read_bytes() != content
    model = load_checkpoint(path)
    assert model.prior.mean.any() and not model.training  # else sample would draw from N(0, I)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (NonFiniteLossError("kl became nan\nat step 7"), 1, "cvae: kl became nan at step 7\n"),
        (OSError(28, "No space left"), 2, "cvae: [Errno 28] No space left\n"),
        (ImportError("`clip` is not openai-clip"), 2, "cvae: `clip` is not openai-clip\n"),
        (KeyboardInterrupt(), 130, "cvae: interrupted before there was anything to keep\n"),
        (RuntimeError("a bug"), None, ""),
    ],
)
def test_what_ends_a_training_is_told_and_our_own_mistakes_are_not_hidden(
    error: BaseException,
    code: int | None,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(recipes, "train_recipe", fail)
    command = ["train", "fashion-vae", "--out", str(tmp_path / "x.safetensors")]
    if code is None:
        with pytest.raises(RuntimeError, match="a bug"):
            main(command)
        return
    assert main(command) == code
    assert capsys.readouterr().err.splitlines(keepends=True)[-1] == line


# Text models.


def test_any_sentence_draws_a_row_of_colour_pictures(
    checkpoints: dict[str, str], tmp_path: Path, capsys: Captured
) -> None:
    text_model, path = checkpoints["text"], tmp_path / "x.png"
    text = "a red circle above a blue square"
    assert main(["sample", text, "--model", text_model, "--out", str(path), "--n", "3"]) == 0
    assert f"“{text}” → 3 pictures in" in capsys.readouterr().out
    image = Image.open(path)
    assert image.mode == "RGB" and image.size == (8 * (3 * 17 + 1), 8 * (17 + 1))
    pixels = np.asarray(image)[::8, ::8]
    assert (pixels[0] == 255).all() and (pixels[:, 17] == 255).all()
    model = load_checkpoint(text_model)
    assert model.conditioning == "film" and not model.training
    vector = HashingTextEncoder()([text]).expand(3, -1)
    expected = model.sample(vector, torch.Generator().manual_seed(0))
    drawn = torch.tensor(pixels[1:17, 35:51]).permute(2, 0, 1)
    assert torch.equal(drawn, expected[2].mul(255).round().byte())


def test_train_text_on_a_coco_folder_and_goes_on(tmp_path: Path, capsys: Captured) -> None:
    root, path = tmp_path / "coco", tmp_path / "text.safetensors"
    write_scenes(root, "train", 40, 16)
    command = [*TEXT, "--coco", str(root), "--split", "train", "--out", str(path)]
    command += ["--conditioning", "concat", "--likelihood", "gaussian", "--precision", "float32"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cvae_lib.data.coco.cache_root", lambda: tmp_path / "cache")
        patch.setenv("MASTER_ADDR", "localhost")  # as accelerate does for one process, too
        assert main([*command, "--images", "30"]) == 0
        said = capsys.readouterr().out
        assert said.startswith("cpu: 1 process, ") and "epoch 1 of 1" in said
        about = read_tensors(path)[1]
        assert about["training data"]["images"] == 27 and about["validation data"]["images"] == 3
        assert about["architecture"]["conditioning"] == "concat"
        assert about["config"]["precision"] == "float32"
        encoder = HashingTextEncoder()
        assert about["text_encoder"]["fingerprint"] == encoder.fingerprint
        content = path.read_bytes()
        assert main([*command, "--images", "30"]) == 0 and path.read_bytes() == content
        assert main([*command, "--images", "20"]) == 2
    assert "training data's images is 27, here it is 18" in capsys.readouterr().err


def test_a_text_model_is_not_sampled_with_another_encoder(
    checkpoints: dict[str, str], tmp_path: Path, capsys: Captured
) -> None:
    text_model = checkpoints["text"]
    tensors, metadata = read_tensors(Path(text_model))
    path, out = tmp_path / "other.safetensors", tmp_path / "x.png"
    for changed, reason in (
        ({**metadata["text_encoder"], "fingerprint": "0" * 64}, "000000000000…"),
        (None, "does not say which text encoder it was trained with"),
    ):
        write_tensors(path, tensors, {**metadata, "text_encoder": changed})
        assert main(["sample", "a star", "--model", str(path), "--out", str(out)]) == 2
        assert reason in one_line(capsys) and not out.exists()
    assert main(["sample", "…", "--model", text_model, "--out", str(out)]) == 2
    assert "has no word" in one_line(capsys)


# Evaluate, data, info.


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("sigma", ["sse", "frechet, fitted prior", "class_agreement, fitted prior"]),
        ("fashion-judge", ["accuracy"]),
        ("scenes-judge", ["colour", "all"]),
        ("scenes-film", ["ssim", "one_all, fitted prior", "frechet, standard prior"]),
        ("scenes-attend", ["ssim", "one_all, fitted prior", "frechet, standard prior"]),
        ("scenes-map", ["ssim", "one_all, rebuilt"]),
        ("scenes-flow", ["one_all, drawn", "frechet, drawn"]),
        ("text", ["ssim", "one_all, standard prior"]),
        ("words", ["ssim", "one_all, standard prior"]),
    ],
)
def test_shipped_models_and_checkpoints_are_measured_alike(
    name: str, metrics: list[str], checkpoints: dict[str, str], capsys: Captured
) -> None:
    own = {"sigma": "fashion-concat-sigma", "text": checkpoints["text"]}
    shipped = (own | {"words": checkpoints["words"]}).get(name, name)
    for model in {checkpoints[name], shipped}:
        assert main(["evaluate", model, "--images", "20"]) == 0
        out = capsys.readouterr().out
        for metric in metrics:
            assert re.search(rf"│ {metric} +│ +-?\d+\.\d{{4}} +│", out), metric
        if model == "fashion-judge":
            accuracy = pretrained.record(model)["metrics"]["accuracy"]
            assert re.search(rf"│ accuracy +│ \d\.\d+ +│ {accuracy:.4f} +│", out)
            assert "other images than the 10,000 of the record" in out


def test_data_coco_prepares_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "train").mkdir()
    (tmp_path / "annotations").mkdir()
    Image.new("L", (30, 20)).save(tmp_path / "train" / "1.png")
    images = [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "2.png"}]
    captions = [{"image_id": i, "caption": "a cat"} for i in (1, 1, 2)]
    captions.append({"image_id": 2, "caption": "👍"})
    content = json.dumps({"images": images, "annotations": captions})
    (tmp_path / "annotations" / "captions_train.json").write_text(content)
    options = ["--root", str(tmp_path), "--split", "train", "--size", "16"]
    assert main(["data", "coco", *options]) == 0
    out, err = capsys.readouterr()
    counts = dict(re.findall(r"│ (\w+) +│ (\d+) +│", out))
    seen = {k: int(v) for k, v in counts.items() if v != "0"}
    assert seen == {"images": 1, "captions": 2, "missing": 1, "empty": 1, "grey": 1}
    assert str(tmp_path / "train") in out.replace("\n", "") and "train at 16 × 16" in out
    assert err == "" and list((tmp_path / "cache").rglob("train-16-*.raw"))


def test_data_coco_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    asked = []

    def fetch(split: str, root: Path, progress: bool) -> Path:
        asked.append((split, root, progress))
        return root

    monkeypatch.setattr("cvae_lib.data.download_coco", fetch)
    assert main(["data", "coco", "--download", "val2014", "--root", str(tmp_path)]) == 0
    assert asked == [("val2014", tmp_path, False)]
    assert f"val2014 is in {tmp_path}: photos in val2014" in capsys.readouterr().out


def test_info_shows_the_machine_and_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    accuracy = f"accuracy {pretrained.record('fashion-judge')['metrics']['accuracy']:.4g}"
    for word in (__version__, torch.__version__, "scale cpu", "shipped", "fashion-judge", accuracy):
        assert word in out, word
    assert "no record" not in out
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert out.count("missing") == out.count("no record") == len(RECIPES)
    monkeypatch.setenv("CVAE_SCALE", "huge")
    assert main(["info"]) == 2
    assert "CVAE_SCALE is 'huge': choose one of smoke, cpu, gpu" in one_line(capsys)


# As a process.


@pytest.mark.parametrize("given", [None, "3"])
def test_a_command_leaves_half_of_the_processors_to_others_unless_told_otherwise(given):
    code = "import os, cvae_lib.__main__; print(os.environ['OMP_NUM_THREADS'])"
    unset = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    told = unset | ({"OMP_NUM_THREADS": given} if given else {})
    out = subprocess.check_output([sys.executable, "-c", code], env=told, text=True)
    assert out.strip() == (given or str(max(1, (os.cpu_count() or 1) // 2)))


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cvae_lib", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        # a process started in the background ignores Ctrl-C, and so would its child
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


def test_help_answers_without_pytorch() -> None:
    code = (
        "import sys; from cvae_lib.cli import main; main(['--help']); print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.rstrip().endswith("False")


def test_ctrl_c_exits_with_130_and_the_same_command_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    command = ["train", "fashion-concat", "--out", str(path), "--images", "640", "--epochs", "2"]
    command += ["--batch-size", "32", "--device", "cpu"]
    process = start(*command)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("epoch 1 of 2")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-1] == f"cvae: interrupted; the same command goes on from {path}"
    process = start(*command)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert "epoch 1 of 2" not in stdout and "epoch 2 of 2" in stdout
    assert "fashion-concat after 2 epochs" in stdout
