"""The environment that a client runs in: a home of its own, no proxy that answers, telemetry and update checks off."""

import os
from collections.abc import Mapping
from pathlib import Path

KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE")
QUIET = {
    "DO_NOT_TRACK": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_BUG_COMMAND": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "OTEL_SDK_DISABLED": "true",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "AIDER_ANALYTICS": "false",
    "AIDER_CHECK_UPDATE": "false",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    "OPENCODE_DISABLE_SHARE": "1",
    "OPENCODE_PURE": "1",
    "NPM_CONFIG_OFFLINE": "true",
    "NPM_CONFIG_UPDATE_NOTIFIER": "false",
    "NO_UPDATE_NOTIFIER": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONWARNINGS": "ignore",
    "NODE_NO_WARNINGS": "1",
}


def environment(home: Path, proxy: int, own: Mapping[str, str]) -> dict[str, str]:
    """The variables of one run of a client. ``home`` is an empty folder, ``proxy`` the recorder's port."""
    nowhere = f"http://127.0.0.1:{proxy}"
    proxies = {name: nowhere for kind in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (kind, kind.lower())}
    local = {"NO_PROXY": "127.0.0.1,localhost,::1", "no_proxy": "127.0.0.1,localhost,::1"}
    folders = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "XDG_CONFIG_HOME": str(home / ".config")}
    (home / "tmp").mkdir()
    return {k: os.environ[k] for k in KEPT if k in os.environ} | QUIET | proxies | local | folders | dict(own)
