"""One `up` at a time."""

from __future__ import annotations

import pytest
from support import own_environment

from blocks.errors import FirstPartyGenericError
from deployments.prefect_api import up_lock

data = own_environment.data


def test_a_second_up_is_an_error() -> None:
    with (
        up_lock.hold(),
        pytest.raises(FirstPartyGenericError, match="`up` is already running"),
        up_lock.hold(),
    ):
        pass
