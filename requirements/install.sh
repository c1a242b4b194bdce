#!/bin/sh
# Install a hashed lock into a virtual environment: by uv, pinned by hash itself, which is about three times faster than pip;
# by pip where uv fails (a proxy or an index that only pip can reach, a platform without a uv wheel).
# Usage: install.sh VENV_BIN LOCK
set -eu
bin=$1 lock=$2
pip="$bin/python -m pip --disable-pip-version-check"

# uv reads neither pip's files nor its variables: what pip is told about certificates and indexes is handed on, unless uv is told
# itself. Any index is as good as another, since every file is checked against the lock's hashes.
told=$($pip config list 2>/dev/null || true)
of_pip() { printf '%s\n' "$told" | sed -n -E "s/^(:env:|global|install|user|site)\.$1='(.*)'\$/\2/p" | sed 's/\\n/ /g' | tail -n 1; }
hand_on() { # VARIABLE VALUE
    eval "[ -n \"\${$1:-}\" ]" || [ -z "$2" ] || export "$1=$2"
}
hand_on SSL_CERT_FILE "$(of_pip cert)"
hand_on UV_DEFAULT_INDEX "$(of_pip index-url)"
hand_on UV_INDEX "$(of_pip extra-index-url)"
hand_on UV_INDEX_STRATEGY unsafe-best-match
hand_on UV_FIND_LINKS "$(of_pip find-links | tr -s ' ' ',')"

by_uv() {
    $pip install -q --no-compile --require-hashes -r requirements/uv.lock &&
        "$bin/uv" pip install --color never --python "$bin/python" --compile-bytecode --require-hashes -r "$lock"
}

log=$(mktemp)
beat=
trap 'rm -f "$log"; [ -z "$beat" ] || kill "$beat" 2>/dev/null || true' EXIT
failed="by_uv failed"
show() { # Print the steps, keep everything in the log; fails where the installer did.
    status=0
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        "$failed") status=1 ;;
        Resolved* | Downloading* | Building* | Prepared* | Installed* | Bytecode*) echo "  $line" ;;
        esac
        printf '%s\n' "$line" >> "$log"
    done
    return $status
}

echo "Installing $lock, $(grep -c '^[a-z0-9]' "$lock") packages: about a minute the first time"
(
    seconds=0
    while sleep 5 > /dev/null 2>&1; do
        seconds=$((seconds + 5))
        echo "  … $seconds s"
    done
) &
beat=$!
if ! { by_uv 2>&1 || printf '\n%s\n' "$failed"; } | show; then
    grep -v -e "^$failed" -e '^$' "$log" | tail -n 3
    echo "uv could not; installing with pip, which takes about a minute"
    $pip install -q --require-hashes -r "$lock"
fi
# The project itself: a path file and a command, so that nothing is built and nothing more is downloaded.
site=$("$bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
pwd > "$site/octant.pth"
printf '#!/bin/sh\nexec "$(dirname "$0")/python" -m app.cli "$@"\n' > "$bin/octant"
chmod +x "$bin/octant"
