"""The commands of `onepassword-source siem`, one file each."""
