# The programs that tests and benchmarks use and Python's packages do not have. Debian's packages; as root.
set -eu

has() {
    command -v "$1" > /dev/null
}

# Whether Debian can install a package here. A fresh image has no lists of packages yet.
offered() {
    has apt-get && [ "$(id -u)" = 0 ] || return 1
    ls /var/lib/apt/lists/*_Packages* > /dev/null 2>&1 || apt-get update -q > /dev/null
    apt-cache show "$1" > /dev/null 2>&1
}

missing=""
has promtool && has prometheus || missing="$missing prometheus"
has amtool || missing="$missing prometheus-alertmanager"
has haproxy || missing="$missing haproxy"
has wrk || missing="$missing wrk"
# The headless shell is the same Chromium without the parts of a window: with it, the tests of the console take two thirds of the CPU.
if ! has chromium-headless-shell; then
    if offered chromium-headless-shell; then
        missing="$missing chromium-headless-shell"
    elif ! has chromium && ! has chromium-browser && ! has google-chrome; then
        missing="$missing chromium"
    fi
fi

if [ -z "$missing" ]; then
    exit 0
fi
if ! has apt-get; then
    echo "Install these with your own package manager:$missing" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "As root: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
apt-get update -q
# shellcheck disable=SC2086 # one word for each package
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
