#!/usr/bin/env bash
# Make the virtual environment in the folder $1 from requirements.txt.
set -eu
venv=$1
chosen=$(bash "$(dirname "$0")/python.sh")
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
