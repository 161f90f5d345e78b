#!/usr/bin/env bash
# All that wants a GPU, in 8 minutes, as JSON: PYTHON=python3 COMMIT=… benchmarks/gpu.sh OUT [--smoke]
set -uo pipefail
case "$#${2:-}" in 1 | 2--smoke) ;; *) echo "usage: benchmarks/gpu.sh OUT [--smoke]" >&2; exit 2 ;; esac
mkdir -p "$1" && out=$(cd "$1" && pwd) && cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
[ -n "${PYTHON:-}" ] || { PYTHON=.venv/bin/python; [ -x "$PYTHON" ] || PYTHON=python3; }
export PYTHONPATH="$PWD:$PWD/benchmarks${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

"$PYTHON" - "${2:-}" <<'END' || exit 1
import sys

try:
    import torch, accelerate, hypothesis, pytest, torchvision  # noqa: E401

    import cvae_lib.pretrained
except ModuleNotFoundError as error:
    sys.exit(f"gpu.sh: {sys.executable} has no {error.name}: name another with PYTHON=…")
if sys.argv[1] != "--smoke" and not torch.cuda.is_available():
    sys.exit(f"gpu.sh: torch {torch.__version__} sees no GPU here; --smoke rehearses on the CPU")
END

failed=0
for part in tests:120 speed:230 text:110; do # seconds each may take; what it has measured stays
  timeout -k 5 "${part#*:}" "$PYTHON" benchmarks/gpu.py "${part%:*}" "$out" "${@:2}" ||
    { echo "gpu.sh: ${part%:*} ended with $? (124: out of time)" >&2; failed=1; }
done
exit $failed
