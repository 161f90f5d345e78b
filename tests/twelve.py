"""A class of twelve and two more: the ways in which submissions of problem set 1 come in."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from problem_sets import find, graded

ANSWERS = ("draw", "rate", "distortion", "linear", "vae", "train")
POINTS = {"draw": 15, "rate": 15, "distortion": 12, "linear": 14, "vae": 20, "train": 12}
AUTO = sum(POINTS.values())  # the rest is graded by hand
SCORES = {
    "perfect": AUTO,
    "partial": POINTS["draw"] + POINTS["rate"],
    "wrong": AUTO - POINTS["rate"],
    "endless": AUTO - POINTS["distortion"],
    "stubborn": AUTO - POINTS["distortion"],
    "crash": AUTO - POINTS["train"],
    "stderr": AUTO,
    "deleted": AUTO,
    "edited": AUTO - POINTS["rate"],
    "renamed": AUTO - POINTS["linear"],
    "chatty": AUTO,
    "burglar": AUTO,
    "empty": 0,
    "picture": 0,
}


def solved(release: NotebookNode, source: NotebookNode, answers: tuple[str, ...]) -> NotebookNode:
    """The release with the answers of the source."""
    notebook = deepcopy(release)
    for answer in answers:
        find(notebook, answer).source = find(source, answer).source
    return notebook


def change(notebook: NotebookNode, cell: str, before: str, after: str) -> NotebookNode:
    """A copy with one piece of one cell replaced."""
    changed = deepcopy(notebook)
    target = find(changed, cell)
    assert before in target.source, (cell, before)
    target.source = target.source.replace(before, after, 1)
    return changed


def submissions(release: NotebookNode, source: NotebookNode) -> dict[str, NotebookNode | bytes]:
    """What each student hands in, by name."""
    perfect = solved(release, source, ANSWERS)
    deleted = deepcopy(perfect)
    deleted.cells = [cell for cell in perfect.cells if graded(cell).get("grade_id") != "test-rate"]
    wrong = change(perfect, "rate", "return 0.5 *", "return -0.5 *")
    edited = deepcopy(wrong)
    find(edited, "test-rate").source = "assert True"
    loop = "    while True:\n        pass\n"
    # a loop that ignores every request to stop
    deaf = "    import signal\n\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + loop
    hum = "    import sys\n\n    print('hm', file=sys.stderr)\n"
    chat = "    for line in range(100_000):\n        print(line)\n"
    loot = (
        "    import glob\n\n"
        "    course = bool(glob.glob('/tmp/**/gradebook.db', recursive=True))\n"
        "    said = any(globals().get(name) for name in ('HIDDEN', 'SOLUTION'))\n"
        "    print(f'the course: {course}, what it said: {said}')\n"
    )
    first = "    constant ="
    begin = "    sigma ="
    return {
        "perfect": perfect,
        "partial": solved(release, source, ANSWERS[:2]),
        "wrong": wrong,
        "endless": change(perfect, "distortion", first, loop + first),
        "stubborn": change(perfect, "distortion", first, deaf + first),
        "crash": change(perfect, "train", "    losses = []", "    import os\n\n    os.abort()"),
        "stderr": change(perfect, "draw", begin, hum + begin),
        "deleted": deleted,
        "edited": edited,
        "renamed": change(perfect, "linear", "def posterior(", "def true_posterior("),
        "chatty": change(perfect, "draw", begin, chat + begin),
        "burglar": change(perfect, "draw", begin, loot + begin),
        "empty": b"",
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    }


def hand_in(folder: Path, release: NotebookNode, source: NotebookNode) -> None:
    """Write what the class hands in as a platform's download would have it."""
    for student, handed in submissions(release, source).items():
        (folder / student).mkdir(parents=True)
        content = handed if isinstance(handed, bytes) else json.dumps(handed).encode()
        (folder / student / "ps1.ipynb").write_bytes(content)


if __name__ == "__main__":
    import sys

    course, downloads = Path(sys.argv[1]), Path(sys.argv[2])
    read = [nbformat.read(course / kind / "ps1" / "ps1.ipynb", 4) for kind in ("release", "source")]
    hand_in(downloads, *read)
