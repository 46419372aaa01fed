"""The commands of `onepassword-source secrets`, one file each."""
