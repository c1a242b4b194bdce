#!/bin/sh
# Install a hashed lock into a virtual environment: by uv, pinned by hash itself, which is about seven times faster than pip;
# by pip where uv fails (an index that only pip's configuration knows, a platform without a uv wheel).
# Usage: install.sh VENV_BIN LOCK
set -eu
bin=$1 lock=$2
pip="$bin/python -m pip --disable-pip-version-check"
echo "Installing $lock"
index=$($pip config get global.index-url 2>/dev/null || true)
if $pip install -q --no-compile --require-hashes -r requirements/uv.lock 2>/dev/null &&
    ${index:+env UV_DEFAULT_INDEX="$index"} "$bin/uv" pip install -q --python "$bin/python" --compile-bytecode --require-hashes -r "$lock"; then
    :
else
    echo "uv could not; installing with pip, which takes about a minute"
    $pip install -q --require-hashes -r "$lock"
fi
# The project itself: a path file and a command, so that nothing is built and nothing more is downloaded.
site=$("$bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
pwd > "$site/octant.pth"
printf '#!/bin/sh\nexec "$(dirname "$0")/python" -m app.cli "$@"\n' > "$bin/octant"
chmod +x "$bin/octant"
