"""The endpoint keeps the promise of its OpenAPI description, whatever is sent: property tests by schemathesis."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.cli.conftest import SIZE, Detector, Segmenter
from tests.web.conftest import encoded
from unmask.restore.restorer import Restorer

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

from schemathesis.specs.openapi import checks  # noqa: E402

from unmask.web.app import create_app  # noqa: E402  (after the extras are known to be there)
from unmask.web.schemas import Limits  # noqa: E402

PHOTOS = [encoded(), encoded(format="JPEG"), encoded(255), encoded(0), b"", b"GIF89a", encoded()[:100]]
schemathesis.openapi.format("binary", st.sampled_from(PHOTOS))
LIMITS = Limits(max_bytes=200_000, max_waiting=100)  # a full line answers 503, which is right and no failure
APP = create_app(Restorer(lambda x, region: x * 0 + 1, Segmenter(), Detector(), size=SIZE), LIMITS, hosts=())
schema = schemathesis.openapi.from_asgi("/api/openapi.json", APP)


@schema.parametrize()
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_description_holds(case):
    # a photo may be well-formed for the description and still show no face
    excluded = [checks.positive_data_acceptance]
    if case.method == "POST":  # what an uploaded file holds is judged when its turn comes, after the answer
        excluded.append(checks.negative_data_rejection)
    case.call_and_validate(excluded_checks=excluded)
