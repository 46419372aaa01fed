"""The commands of `onepassword-source fields`, one file each."""
