"""Adding sources: a form, or pasted JSON. The token is checked before anything is stored."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from blocks import settings
from blocks.config.source_file import check_members, parse_sources
from blocks.errors import SourceError, ThirdPartyConfigError
from blocks.events_api.hosts import HOSTS
from blocks.events_api.models import Api
from blocks.secret import MASK
from blocks.store import fields, source_status
from blocks.store.forwarding.records import FORWARD_FIELD
from deployments import deferred, token_check
from deployments.console.pending_sources import CheckedSource
from deployments.console.view import action
from deployments.token_rules import TokenRules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response

    from blocks.config.source_config import SourceConfig
    from deployments.console.jobs import Job
    from deployments.console.view import View

SOURCES_MAX, CHECKS_AT_ONCE = 50, 8
BAD_REQUEST, NOT_FOUND = 400, 404
TEXTS = ("name", "description", "category", "base_url", "collect_from")
EXAMPLE = '{"source": {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": {…}}}'
_TOKEN = re.compile(r'("api_token"\s*:\s*)"(?:[^"\\]|\\.)*"')


def form(view: View) -> Response:
    """The form; with `?check=` what a check has found."""
    if not view.can_act:
        return _unknown(view)
    job = view.console.jobs.find(view.query("check"))
    checked, _ = view.console.pending.get(view.query("check"), view.session.id)
    return _render(view, {}, job=job, checked=checked)


def check(view: View) -> Response:
    """Read the form or the JSON, and check each token. Nothing is stored."""
    if not view.can_act:
        return _unknown(view)
    try:
        configs = _read(view.form)
    except ThirdPartyConfigError as error:
        return _render(view, view.form, problem=str(error), status=BAD_REQUEST)
    known = _accounts(view)

    def work(job: Job) -> str:
        with ThreadPoolExecutor(CHECKS_AT_ONCE) as pool:
            checked = list(pool.map(lambda config: _checked(config, known), configs))
        view.console.pending.put(job.id, view.session.id, checked, add_fields=view.form.get("add_fields") == "on")
        good = sum(one.is_good for one in checked)
        return f"{good:,} of {len(checked):,} can be added."

    what = configs[0].name if len(configs) == 1 else f"{len(configs):,} sources"
    job = view.console.jobs.start(f"Check {what}", view.actor, work)
    return view.redirect("/sources/new", check=job.id)


def add_checked(view: View) -> Response:
    """Add the sources that were checked."""
    if not view.can_act:
        return _unknown(view)
    checked, add_fields = view.console.pending.take(view.form.get("check", ""), view.session.id)
    good = [one.config for one in checked if one.is_good]
    if not good:
        raise ThirdPartyConfigError(
            "There is no checked source to add: a check is kept for a quarter of an hour. Nothing was changed.",
            hint="Fill in the form again.",
            code="usage",
        )
    what = good[0].name if len(good) == 1 else f"{len(good):,} sources"
    job = view.console.jobs.start(f"Add {what}", view.actor, lambda job: _apply(view, job, good, add_fields=add_fields))
    return view.redirect(f"/actions/{job.id}", back="/")


def _apply(view: View, job: Job, configs: Sequence[SourceConfig], *, add_fields: bool) -> str:
    added = fields.create(view.engine, (name for config in configs for name in config.fields)) if add_fields else ()
    notes = [*deferred.source_apply.prepare()]
    applied = []
    for one in deferred.sources.apply_all(configs, TokenRules()):
        applied.append(one)
        job.progress = len(applied) / len(configs)
    deferred.source_apply.start_runs(applied)
    notes += [warning for one in applied for warning in one.warnings]
    notes += [
        f"{config.name}: {dropped.sentence}"
        for config in configs
        for dropped in fields.dropped_fields(view.engine, config.fields)
    ]
    notes += [f"Fields added: {', '.join(added)}."] if added else []
    refused = [f"{one.name}: {one.problem}" for one in applied if one.change == "refused"]
    if refused:
        raise ThirdPartyConfigError("\n".join(refused), hint=" ".join(notes), code="token")
    done = "; ".join(f"{one.name}: {one.change}" for one in applied)
    return " ".join([f"{done}. Its first events appear within a minute.", *notes])


def _read(given: Mapping[str, str]) -> list[SourceConfig]:
    """Raises ConfigurationError with all problems at once, ThirdPartyConfigError for a missing token."""
    token = given.get("api_token", "").strip() or None
    allowed = settings.allowed_hosts()
    if text := given.get("json", "").strip():
        configs = parse_sources(text.encode(errors="replace"), allowed_hosts=allowed, token=token)
    else:
        configs = [check_members(_members(given), allowed_hosts=allowed, token=token)]
    if len(configs) > SOURCES_MAX:
        raise ThirdPartyConfigError(
            f"These are {len(configs):,} sources; the console adds up to {SOURCES_MAX} at once.",
            hint="Use `onepassword-source apply FILE`.",
        )
    if missing := [config.name for config in configs if config.api_token is None]:
        raise ThirdPartyConfigError(f"There is no token for {', '.join(map(repr, missing))}.", hint="Enter it below.")
    return configs


def _members(given: Mapping[str, str]) -> dict[str, Any]:
    members: dict[str, Any] = {name: value for name in TEXTS if (value := given.get(name, "").strip())}
    members["supported_apis"] = [str(api) for api in Api if given.get(f"api-{api}")]
    members["fields"] = {FORWARD_FIELD: True} if given.get("forward") == "on" else {}
    return members


def _accounts(view: View) -> dict[str, str | None]:
    """The account of each source that is there, by name; none if there is no store yet."""
    try:
        return {source.name: source.account_uuid for source in source_status.sources(view.reader, with_deleted=True)}
    except SourceError:
        return {}


def _checked(config: SourceConfig, known: Mapping[str, str | None]) -> CheckedSource:
    findings = tuple(token_check.describe(config, known.get(config.name)))
    return CheckedSource(config, findings, exists=config.name in known)


def _render(
    view: View,
    given: Mapping[str, str],
    *,
    problem: str = "",
    status: int = 200,
    job: Job | None = None,
    checked: Sequence[CheckedSource] = (),
) -> Response:
    return view.render(
        "new_source.html",
        status,
        given=_shown(given),
        is_first=not given,
        problem=problem,
        job=job,
        checked=checked,
        apis=tuple(Api),
        hosts=HOSTS,
        example=EXAMPLE,
    )


def _shown(given: Mapping[str, str]) -> dict[str, str]:
    """What the form shows again: no token, in the JSON neither."""
    shown = {name: value for name, value in given.items() if name not in {"api_token", "csrf"}}
    return {**shown, "json": _TOKEN.sub(rf'\1"{MASK}"', shown.get("json", ""))}


def _unknown(view: View) -> Response:
    return view.render("error.html", NOT_FOUND, title="Unknown page", message="There is no such page.", hint="")


ROUTES = [
    Route("/sources/new", action(form)),
    Route("/sources/new", action(check), methods=["POST"]),
    Route("/sources/new/add", action(add_checked), methods=["POST"]),
]
