"""Every JSON output: the command that prints it, and the type of its record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployments.json_records import backups, coverage, events, forwarding, health, sources, store


@dataclass(frozen=True, slots=True)
class JsonOutput:
    """One output. `name` is that of its schema; `when` says with which options it is printed, if not with `--json`.

    With `lines`, the output is one such value on each line.
    """

    name: str
    command: str
    type: Any
    when: str = ""
    lines: bool = False


OUTPUTS = (
    JsonOutput("apply", "apply", list[sources.AppliedSourceRecord], "with a file of sources"),
    JsonOutput("apply-siems", "apply", list[forwarding.AppliedSiemRecord], "with a file of SIEMs"),
    JsonOutput("collect", "collect", sources.CollectRecord),
    JsonOutput("status", "status", list[sources.StatusRecord]),
    JsonOutput("list", "list", list[sources.SourceRecord]),
    JsonOutput("restart", "restart", sources.RestartRecord),
    JsonOutput("token", "token", sources.TokenRecord),
    JsonOutput("stop", "stop", sources.StopRecord),
    JsonOutput("start", "start", sources.StartRecord),
    JsonOutput("rename", "rename", sources.RenameRecord),
    JsonOutput("delete", "delete", sources.DeleteRecord),
    JsonOutput("backfill", "backfill", coverage.JobRecord),
    JsonOutput("backfill-plan", "backfill", coverage.PlanRecord, "with `--plan`"),
    JsonOutput("reconcile", "reconcile", coverage.JobRecord),
    JsonOutput("check", "check", sources.CheckRecord),
    JsonOutput("health", "health", list[health.HealthEventRecord]),
    JsonOutput("health-event", "health", health.HealthEventRecord, "with `--follow`", lines=True),
    JsonOutput("backup", "backup", backups.BackupRecord),
    JsonOutput("restore", "restore", backups.RestoreRecord),
    JsonOutput("move", "move", backups.MoveRecord),
    JsonOutput("install-service", "install-service", list[store.ChangedFileRecord]),
    JsonOutput("install-service-plan", "install-service", list[store.ServiceFileRecord], "with `--dry-run`"),
    JsonOutput("env", "env", dict[str, str]),
    JsonOutput("secrets-rotate", "secrets rotate", store.RotateRecord),
    JsonOutput("events", "events", list[events.EventRecord]),
    JsonOutput("event", "events", events.EventRecord, "with `--follow`", lines=True),
    JsonOutput("actions", "actions", list[events.ActionRecord]),
    JsonOutput("coverage", "coverage", coverage.CoverageRecord),
    JsonOutput("fields-list", "fields list", list[events.FieldRecord]),
    JsonOutput("fields-add", "fields add", list[events.ChangedFieldRecord]),
    JsonOutput("fields-enable", "fields enable", list[events.ChangedFieldRecord]),
    JsonOutput("fields-disable", "fields disable", list[events.ChangedFieldRecord]),
    JsonOutput("names-import", "names import", events.ImportRecord),
    JsonOutput("names-list", "names list", list[events.NameRecord]),
    JsonOutput("names-remove", "names remove", events.RemovedNamesRecord),
    JsonOutput("prune", "prune", store.PruneRecord),
    JsonOutput("prune-schedule", "prune", store.ScheduledPruneRecord, "with `--schedule`"),
    JsonOutput("prune-no-schedule", "prune", store.UnscheduledPruneRecord, "with `--no-schedule`"),
    JsonOutput("verify", "verify", store.VerifyRecord),
    JsonOutput("checkpoint", "verify", store.CheckpointRecord, "with `--print-checkpoint`", lines=True),
    JsonOutput("siem-add", "siem add", list[forwarding.AppliedSiemRecord]),
    JsonOutput("siem-list", "siem list", list[forwarding.PairNameRecord]),
    JsonOutput("siem-status", "siem status", list[forwarding.PairRecord]),
    JsonOutput("siem-test", "siem test", forwarding.SiemTestRecord),
    JsonOutput("siem-run", "siem run", list[forwarding.ForwardRunRecord]),
    JsonOutput("siem-pause", "siem pause", list[forwarding.PausedPairRecord]),
    JsonOutput("siem-resume", "siem resume", list[forwarding.PausedPairRecord]),
    JsonOutput("siem-replay", "siem replay", list[forwarding.ReplayRecord]),
    JsonOutput("siem-rejected", "siem rejected", list[forwarding.RejectedEventRecord]),
    JsonOutput("siem-discarded", "siem rejected", list[forwarding.DiscardedRecord], "with `--discard`"),
    JsonOutput("siem-remove", "siem remove", list[forwarding.RemovedPairRecord]),
    JsonOutput("sandbox", "sandbox", sources.SandboxRecord, lines=True),
    JsonOutput("webhook-event", "siem run", events.WebhookEventRecord, "in requests to a webhook"),
    JsonOutput("healthz", "up", health.HealthzRecord, "at `/healthz`"),
)
