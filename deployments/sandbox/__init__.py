"""A fake 1Password Events API: for the demo, for tests, and for the CI of every client of that API.

In a shell (prints one JSON line with `base_url` and `token`, then serves until Ctrl-C):

    python -m deployments.sandbox --events 3000 --rate 6 --fault 500:auditevents:3

In a test:

    with running_sandbox(events=300, seed=7) as sandbox:          # process.py
        sandbox.fault("429", api="itemusages", times=2, retry_after=1)
        ...                                                       # let your collector read sandbox.base_url
        assert collected == sandbox.events("itemusages")

The responses follow 1Password's documentation and, where that is silent, what clients of the real API have observed.
The control API is in control.py, the faults are in faults.py.
"""
