"""The commands of `onepassword-source names`, one file each."""
