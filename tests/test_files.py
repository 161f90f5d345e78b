"""Files: the places that are chosen when no home can be had, and writing wholly or not at all."""

import os
from pathlib import Path

import pytest

from cvae_lib.files import cache_root, user_path, write_atomically


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whose id nobody knows and who has no variables; the folder for temporary files."""

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_tilde_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/x") == tmp_path / "x" and user_path("x") == Path("x")
    monkeypatch.setenv("XDG_CACHE_HOME", "~/c")
    assert cache_root() == tmp_path / "c" / "cvae_lib"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_root() == tmp_path / ".cache" / "cvae_lib"


def test_without_a_home_there_is_a_message_and_another_place(homeless: Path) -> None:
    with pytest.raises(OSError, match=r"~/x: no home folder is known; want a path without ~"):
        user_path("~/x")
    assert cache_root().parent == homeless and cache_root().name.startswith("cvae_lib-")


@pytest.mark.parametrize("home", ["file", "locked"])
def test_a_home_of_no_use_is_left_alone(
    home: str, homeless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: bool) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setenv("HOME", str(homeless / "home"))
    if home == "file":
        (homeless / "home").write_text("")
    else:
        monkeypatch.setattr(Path, "mkdir", refuse)  # root, as whom some run this, may write
    assert cache_root().parent == homeless and not list(homeless.glob("cvae_lib-*"))


def test_the_command_line_serves_a_user_without_a_home(
    homeless: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cvae_lib.cli import main

    monkeypatch.delenv("CVAE_COCO_ROOT", raising=False)
    assert main(["data", "coco"]) != 0
    assert str(homeless) in capsys.readouterr().err
    assert main(["data", "coco", "--root", "~/x"]) != 0
    assert "want a path without ~" in capsys.readouterr().err


def test_a_disk_that_refuses_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "new" / "picture.png"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"cannot write .*picture.png \(No space left on device\)"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(path.parent) == ["picture.png"]


def test_a_checkpoint_may_be_named_by_a_tilde(
    tmp_path: Path, homeless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cvae_lib.checkpoint import CheckpointError
    from cvae_lib.pretrained import load_checkpoint

    with pytest.raises(OSError, match="want a path without ~"):
        load_checkpoint("~/x")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match=str(tmp_path / "x")):
        load_checkpoint("~/x")
