#!/usr/bin/env bash
# Run a command on submissions that nobody has read: without a network, able to write only into the
# course's folder, unable to read the home folder, within limits of memory, processes and file size.
#
#     tools/sandbox.sh $HOME/course/variant-0 nbgrader autograde ps1
#
# It needs Linux and bubblewrap (Debian, Ubuntu: apt-get install bubblewrap).
set -euo pipefail

[ $# -ge 2 ] && [ -d "$1" ] || { echo "usage: tools/sandbox.sh COURSE COMMAND ..." >&2; exit 2; }
command -v bwrap >/dev/null || {
  echo "sandbox: there is no bwrap; Debian, Ubuntu: apt-get install bubblewrap" >&2
  exit 1
}
house=$(cd "$(dirname "$0")/.." && pwd)
course=$(cd "$1" && pwd)
python=$(dirname "$(dirname "$(readlink -f "$house/.venv/bin/python")")")
shift

exec prlimit --as=$((16 << 30)) --nproc=1024 --fsize=$((1 << 30)) \
  bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --tmpfs "$HOME" \
  --ro-bind "$python" "$python" --ro-bind "$house" "$house" --bind "$course" "$course" \
  --unshare-all --die-with-parent --new-session --chdir "$course" \
  --setenv PATH "$house/.venv/bin:/usr/bin:/bin" --setenv OMP_NUM_THREADS 1 "$@"
