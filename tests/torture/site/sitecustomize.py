"""Read by every Python process that has this directory on its path: the source's clock is then the one in a file."""

from __future__ import annotations

import os

if "TORTURE_CLOCK" in os.environ:
    from torture import file_clock

    file_clock.install(os.environ["TORTURE_CLOCK"])
