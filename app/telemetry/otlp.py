"""OTLP over HTTP: the SDK's exporter, which also reads an answer of 200.

A receiver may take a part of a batch and say how many spans it rejected (OTLP, "Partial Success"); the SDK takes that for a
success. So it does with a page of sign-in that a proxy answers in the receiver's place.
"""

import logging
from typing import Any

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

PATH = "/v1/traces"
ALL = 2**31

log = logging.getLogger(__name__)


class Exporter(OTLPSpanExporter):
    """Exports to a receiver's base URL, or to the whole URL of its traces.

    ``rejected``: how many spans of the newest batch the receiver did not take.
    """

    def __init__(self, endpoint: str) -> None:
        """Headers, certificates and compression are read from OpenTelemetry's own variables (``OTEL_EXPORTER_OTLP_…``)."""
        self.rejected = 0
        session = requests.Session()
        session.hooks["response"].append(self._read)
        super().__init__(endpoint=endpoint.rstrip("/").removesuffix(PATH) + PATH, session=session)

    def _read(self, answer: requests.Response, *_: Any, **__: Any) -> None:  # noqa: ANN401 - of the library
        self.rejected = rejected(answer.headers.get("content-type", ""), answer.content) if answer.status_code == 200 else 0
        if self.rejected:
            log.warning("the receiver of spans rejected some", extra={"spans": "all" if self.rejected == ALL else self.rejected})


def rejected(content_type: str, content: bytes) -> int:
    """How many spans a receiver did not take though it answered 200."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/html":
        return ALL
    try:
        read = ExportTraceServiceResponse.FromString(content) if kind == "application/x-protobuf" else None
    except DecodeError:
        return 0
    return max(read.partial_success.rejected_spans, 0) if read else 0
