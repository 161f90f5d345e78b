#!/usr/bin/env bash
# All that wants a GPU, in 8 minutes, as JSON: PYTHON=python3 COMMIT=… benchmarks/gpu.sh OUT [--smoke]
# Some of it: PARTS="speed:230 text:110", each with its seconds, or PARTS=chapters:470; of the chapters
# some: CHAPTERS="05_concat_or_add 06_latent_space", and JOBS=6 of them at a time.
set -uo pipefail
case "$#${2:-}" in 1 | 2--smoke) ;; *) echo "usage: benchmarks/gpu.sh OUT [--smoke]" >&2; exit 2 ;; esac
mkdir -p "$1" && out=$(cd "$1" && pwd) && cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
[ -n "${PYTHON:-}" ] || { PYTHON=.venv/bin/python; [ -x "$PYTHON" ] || PYTHON=python3; }
export PYTHONPATH="$PWD:$PWD/benchmarks${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
PARTS=${PARTS:-tests:45 speed:85 text:40 chapters:295} # seconds each may take: under 8 minutes

"$PYTHON" - "$PARTS" "${2:-}" <<'END' || exit 1
import importlib.util
import re
import sys

needed = "torch torchvision accelerate hypothesis pytest safetensors tqdm scipy".split()
if "chapters" in sys.argv[1]:
    needed += "nbclient ipykernel ipywidgets matplotlib sklearn skimage clip sentencex".split()
    needed += "torch_fidelity wordllama pooch packaging".split()
if missing := [name for name in needed if not importlib.util.find_spec(name)]:
    sys.exit(
        f"gpu.sh: {sys.executable} has no {', '.join(missing)}: name another with PYTHON=…, or put "
        "them on PYTHONPATH (CONTRIBUTING.md, On a GPU)"
    )
for part in sys.argv[1].split():
    if not re.fullmatch(r"(tests|speed|text|chapters):\d+", part):
        sys.exit(f"gpu.sh: PARTS has {part!r}; wanted is tests, speed, text or chapters, :SECONDS")
import torch  # noqa: E402

if sys.argv[2] != "--smoke" and not torch.cuda.is_available():
    sys.exit(f"gpu.sh: torch {torch.__version__} sees no GPU here; --smoke rehearses on the CPU")
END

failed=0
for part in $PARTS; do # what it has measured stays when its time is over
  SECONDS_LEFT=${part#*:} timeout -k 5 "${part#*:}" "$PYTHON" benchmarks/gpu.py "${part%:*}" "$out" "${@:2}" ||
    { echo "gpu.sh: ${part%:*} ended with $? (124: out of time)" >&2; failed=1; }
done
exit $failed
