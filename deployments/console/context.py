"""What all pages of a console share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blocks.store.insight.counted_days import CountsCache
from deployments.console.check_results import CheckResults
from deployments.console.coverage_strips import CoverageStrips
from deployments.console.event_export import Exports
from deployments.console.jobs import Jobs
from deployments.console.pending_sources import PendingSources
from deployments.console.send_rates import SendRates
from deployments.console.stores import Stores

if TYPE_CHECKING:
    from deployments.console.settings import ConsoleSettings


@dataclass(frozen=True)
class Console:
    """The settings, the store, and what operators have started."""

    settings: ConsoleSettings
    stores: Stores = field(default_factory=Stores)
    jobs: Jobs = field(default_factory=Jobs)
    strips: CoverageStrips = field(default_factory=CoverageStrips)
    exports: Exports = field(default_factory=Exports)
    checks: CheckResults = field(default_factory=CheckResults)
    pending: PendingSources = field(default_factory=PendingSources)
    rates: SendRates = field(default_factory=SendRates)
    counts: CountsCache = field(default_factory=CountsCache)
