"""A sandbox for the tests of this folder, in every tier that this machine gives."""

from collections.abc import Iterator

import pytest

from verify.sandbox import tiers
from verify.sandbox.sandbox import Sandbox


@pytest.fixture(scope="module", params=tiers.SAFE_TIERS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    try:
        made = Sandbox(request.param)
    except tiers.TierUnavailable as error:
        pytest.skip(str(error))
    with made:
        yield made
