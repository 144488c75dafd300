#!/usr/bin/env bash
# Make the virtual environment in the folder $1 from requirements.txt.
# Candidates are tried by running them: a shim may exist and fail.
set -eu
venv=$1
fits='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
chosen=''
for candidate in ${PYTHON:-} python3 python python3.14 python3.13 python3.12 python3.11; do
  if "$candidate" -c "$fits" >/dev/null 2>&1; then
    chosen=$candidate
    break
  fi
  if [ -n "${PYTHON:-}" ]; then
    echo "PYTHON=$PYTHON is not a Python 3.11 or later with venv." >&2
    exit 1
  fi
done
if [ -z "$chosen" ]; then
  cat >&2 <<'MESSAGE'
No Python 3.11 or later with venv was found.
  To mend it: install one (Debian and Ubuntu: apt install python3 python3-venv),
  or name it: make PYTHON=/path/to/python3.11 …
MESSAGE
  exit 1
fi
# A link is taken away, never emptied: another project may live behind it.
if [ -L "$venv" ]; then
  echo "$venv is a link to $(readlink "$venv"): it is replaced, and what it leads to stays"
  rm "$venv"
fi
echo "setting up $venv with $("$chosen" --version) (once, and when requirements.txt changes)"
"$chosen" -m venv --clear "$venv"
if ! "$venv/bin/python" -m pip install --disable-pip-version-check \
  --requirement requirements.txt; then
  rm -rf "$venv"
  cat >&2 <<'MESSAGE'
The packages of requirements.txt could not be installed; the reason stands above.
  To mend it: the first set-up needs the network. If there is none, try again
  with it; later runs need none.
MESSAGE
  exit 1
fi
