"""One file per command of `onepassword-source siem`."""
