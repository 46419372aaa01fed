"""What tests share that is no fixture."""

from __future__ import annotations

from blocks.events_api.models import Api
from blocks.store.sources import SourceRecord

SOURCE = SourceRecord(
    id="0" * 31 + "1",
    name="1Pass",
    description=None,
    category="sec/1password",
    fields={"team": "blue"},
    base_url="https://events.1password.com",
    apis=tuple(Api),
    api_version="v2",
    collect_from=None,
    fingerprint="first",
)
