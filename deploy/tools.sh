# The programs that tests and benchmarks use and Python's packages do not have. Debian's packages; as root.
set -eu

missing=""
command -v promtool > /dev/null && command -v prometheus > /dev/null || missing="$missing prometheus"
command -v amtool > /dev/null || missing="$missing prometheus-alertmanager"
command -v chromium > /dev/null || command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null || missing="$missing chromium"
command -v haproxy > /dev/null || missing="$missing haproxy"
command -v wrk > /dev/null || missing="$missing wrk"

if [ -z "$missing" ]; then
    exit 0
fi
if ! command -v apt-get > /dev/null; then
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
