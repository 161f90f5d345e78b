"""COCO's archives: fetched, checked, unpacked into their folder and nowhere else."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cvae_lib import files
from cvae_lib.data import DataError, coco, coco_images, download_coco

ANNOTATIONS, PHOTOS = "/annotations/annotations_trainval2017.zip", "/zips/val2017.zip"
NAMES = [f"{i:012d}.jpg" for i in range(6)]


def photo(shade: int) -> bytes:
    content = io.BytesIO()
    Image.effect_noise((64, 64), shade + 20).save(content, "JPEG", quality=95)
    return content.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


CAPTIONS = json.dumps(
    {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(NAMES)],
        "annotations": [{"image_id": i, "caption": "a cat"} for i in range(6)],
    }
).encode()
FILES = {f"val2017/{name}": photo(i) for i, name in enumerate(NAMES)}


class Server:
    """What COCO's server would do, and what it should not."""

    def __init__(self) -> None:
        captions = {
            f"annotations/captions_{split}2017.json": CAPTIONS for split in ("train", "val")
        }
        more = {"annotations/instances_val2017.json": b"{}"}
        self.files = {
            ANNOTATIONS: zipped(captions | more),
            PHOTOS: zipped({"val2017/": b""} | FILES),
        }
        self.cut: int | None = None  # bytes of a file after which the connection ends
        self.asked: list[str] = []

    def publish(self, patch: pytest.MonkeyPatch) -> None:
        """Let the library expect what the server has."""
        for path, content in self.files.items():
            patch.setitem(coco.SMALL, Path(path).stem, hashlib.sha256(content).hexdigest())

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        if request.path not in self.files:
            request.send_error(404)
            return
        content = self.files[request.path]
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: self.cut])
        request.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    known = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(coco, "BASE", f"http://127.0.0.1:{listening.server_port}")
        known.publish(monkeypatch)
        yield known
        listening.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def there(folder: Path) -> set[str]:
    """Every file but the locks."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")
    return {path.relative_to(folder).as_posix() for path in files}


UNPACKED = {"annotations/captions_val2017.json", "annotations/captions_train2017.json", *FILES}


def test_a_split_is_fetched_unpacked_and_used(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert download_coco("val2017", tmp_path) == tmp_path
    assert there(tmp_path) == UNPACKED
    assert all((tmp_path / name).read_bytes() == content for name, content in FILES.items())
    assert coco_images("val2017", 8, tmp_path).report["images"] == 6
    assert server.asked == [ANNOTATIONS, PHOTOS]
    download_coco("val2017", tmp_path)
    assert len(server.asked) == 2, "what is there is not fetched again"
    assert capsys.readouterr() == ("", "")


def test_the_default_folder_is_where_it_is_looked_for(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CVAE_COCO_ROOT", raising=False)
    assert download_coco("val2017", progress=True) == tmp_path / "cvae_lib" / "coco"
    out, err = capsys.readouterr()
    assert out == "" and "B/s" in err and "files" in err
    assert coco_images("val2017", 8).report["images"] == 6


def test_a_cut_connection_is_told_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.cut = 5_000
    with pytest.raises(DataError, match=r"cannot fetch .*val2017\.zip .*5000 bytes read"):
        download_coco("val2017", tmp_path)
    assert not list((tmp_path / "downloads").iterdir())
    server.cut = None
    download_coco("val2017", tmp_path)
    assert there(tmp_path) == UNPACKED


def test_another_content_is_refused_and_fetched_anew(server: Server, tmp_path: Path) -> None:
    published = server.files[PHOTOS]
    for sent in (b"", published[:1000] + b"\0" + published[1001:] + b"more"):
        server.files[PHOTOS] = sent
        with pytest.raises(DataError, match=r"val2017\.zip \(what came has another SHA-256"):
            download_coco("val2017", tmp_path)
        assert not (tmp_path / "val2017").exists()
        assert not list((tmp_path / "downloads").iterdir())
    server.files[PHOTOS] = published
    download_coco("val2017", tmp_path)
    assert there(tmp_path) == UNPACKED


@pytest.mark.parametrize("split", ["train2017", "val2014", "train2014"])
def test_a_large_archive_is_left_to_curl(split: str, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "my coco"
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations" / f"captions_{split}.json").write_bytes(CAPTIONS)
    with pytest.raises(DataError, match=rf"{split}\.zip is left to you") as error:
        download_coco(split, folder)
    where, command = str(error.value).splitlines()[1].split(" && ", 1)
    assert where == f"cd '{folder}'" and command.endswith(
        f"zips/{split}.zip && unzip -qn {split}.zip"
    )
    assert not server.asked
    for name in NAMES:  # unpacked
        (folder / split).mkdir(exist_ok=True)
        (folder / split / name).write_bytes(photo(0))
    assert download_coco(split, folder) == folder


def test_without_a_network_the_message_says_what_to_do(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = coco.BASE
    monkeypatch.setattr(coco, "BASE", "http://127.0.0.1:9")
    with pytest.raises(DataError) as error:
        download_coco("val2017", tmp_path)
    for words in ("cannot fetch http://127.0.0.1:9/annotations/", f"copy it to {tmp_path}"):
        assert words in str(error.value)
    for path, content in server.files.items():  # what the message advises
        (tmp_path / "downloads" / Path(path).name).write_bytes(content)
    download_coco("val2017", tmp_path)
    assert there(tmp_path) == UNPACKED and not server.asked
    monkeypatch.setattr(coco, "BASE", base)
    server.files.clear()
    with pytest.raises(DataError, match="Not Found"):
        download_coco("val2017", tmp_path / "other")


def test_a_silent_server_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "TIMEOUT", 0.2)
    wait = threading.Event()
    monkeypatch.setattr(server, "answer", lambda request: wait.wait(20))
    with pytest.raises(DataError, match="timed out"):
        download_coco("val2017", tmp_path)
    wait.set()


def test_only_the_four_splits_are_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose one of val2017, train2017, val2014, train2014"):
        download_coco("../val2017", tmp_path / "new")
    assert not (tmp_path / "new").exists()


# Unpacking.


def test_unpacking_goes_on(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = coco.files.write_atomically, []

    def stop(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) == 5:
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(coco.files, "write_atomically", stop)
    with pytest.raises(KeyboardInterrupt):
        download_coco("val2017", tmp_path)
    written.clear()
    download_coco("val2017", tmp_path)
    assert there(tmp_path) == UNPACKED and len(written) == len(UNPACKED) - 4
    assert len(server.asked) == 2, "the archive was kept"
