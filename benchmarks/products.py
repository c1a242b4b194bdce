"""Requests to the installed products: those of the demo's that are answered."""

from typing import Any

from app.features.installed import installed

REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    sample.title: (sample.path, dict(sample.body))
    for feature in installed()
    for sample in feature.samples
    if sample.status == 200 and not sample.tenant
}
