#!/usr/bin/env bash
# Print a Python 3.11 or later with venv: PYTHON, or the first that is here.
# Candidates are tried by running them: a shim may exist and fail.
set -eu
fits='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
for candidate in ${PYTHON:-} python3 python python3.14 python3.13 python3.12 python3.11; do
  if "$candidate" -c "$fits" >/dev/null 2>&1; then
    echo "$candidate"
    exit
  fi
  if [ -n "${PYTHON:-}" ]; then
    echo "PYTHON=$PYTHON is not a Python 3.11 or later with venv." >&2
    exit 1
  fi
done
cat >&2 <<'MESSAGE'
No Python 3.11 or later with venv was found.
  To mend it: install one (Debian and Ubuntu: apt install python3 python3-venv),
  or name it: make PYTHON=/path/to/python3.11 …
MESSAGE
exit 1
