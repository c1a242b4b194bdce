"""What the documents say of webhooks can be followed: the field, the setting, and the check of a signature."""

import base64
import hmac
import re
import time
from collections.abc import Mapping

import pytest
from conftest import ROOT

from app.api.jobs.endpoints import JobRequest
from app.domain.errors import InvalidRequest
from app.security.webhooks import check_url, secret_of, signed
from app.settings import Settings

SECTION = (ROOT / "docs" / "requests.md").read_text().partition("## Jobs")[2].partition("\n## ")[0]


def test_the_check_of_a_signature_in_the_document_holds() -> None:
    code = re.search(r"```python\n(.*?)```", SECTION, re.DOTALL)
    assert code
    scope = {"base64": base64, "hmac": hmac, "time": time, "Mapping": Mapping}
    exec(code[1], scope)  # noqa: S102 - our own document
    is_ours, secret, body = scope["is_ours"], secret_of(b"master", "acme"), b'{"a": 1}'
    headers = signed(secret, "job_1", body)
    assert is_ours(secret, headers, body)  # type: ignore[operator]
    assert not is_ours(secret, headers, body + b" ")  # type: ignore[operator]
    assert not is_ours(secret_of(b"master", "other"), headers, body)  # type: ignore[operator]
    old = {**headers, "webhook-timestamp": str(int(time.time()) - 600)}
    assert not is_ours(secret, old, body)  # type: ignore[operator]


def test_the_document_names_the_field_and_the_setting() -> None:
    assert "webhook_url" in JobRequest.model_fields
    assert "webhook_url" in SECTION
    assert "webhook_allowed_hosts" in Settings.model_fields
    assert "OCTANT_WEBHOOK_ALLOWED_HOSTS" in SECTION


@pytest.mark.parametrize("url", ["http://a.example/", "https://a.example:99/", "https://127.0.0.1/"])
def test_an_address_that_an_operator_can_allow_is_refused_with_the_setting_named(url: str) -> None:
    with pytest.raises(InvalidRequest, match="OCTANT_WEBHOOK_ALLOWED_HOSTS"):
        check_url(url, frozenset())
    check_url(url, frozenset({"a.example", "127.0.0.1"}))
