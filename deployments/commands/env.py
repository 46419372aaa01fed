"""`onepassword-source env`."""

from __future__ import annotations

import json

from deployments import prefect_access


def run(*, as_json: bool) -> None:
    """Print the environment of Prefect's own command line, for `eval` or as a JSON object. It holds a password."""
    if not as_json:
        print(prefect_access.shell_exports(), end="")
        return
    external = prefect_access.external_url() is not None
    print(json.dumps({} if external else prefect_access.prefect_environment(), indent=2))
