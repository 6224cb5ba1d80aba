# Sourced by the other scripts: creates the virtual environment .venv and installs the package. With
# --help as the first argument, prints the usage of the script and installs nothing.
#
# usage, from the repository root:  extras=EXTRA,EXTRA; . tools/environment.sh
# (a variable, since a script that is sourced without arguments sees those of its caller)

set -eu

case "${1:-}" in
-h | --help)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "tools/$(basename "$0")"
    exit 0
    ;;
esac
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info)' 2>/dev/null; then
    echo "tools: $python is not Python 3.10 or later; name one with PYTHON=..." >&2
    exit 1
fi
if [ ! -x .venv/bin/python ]; then
    echo "tools: creating the virtual environment .venv"
    "$python" -m venv .venv
fi
# pip takes minutes the first time (PyTorch) and seconds when everything is there already.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${extras:+[$extras]}"
PATH=$PWD/.venv/bin:$PATH
export PATH
