"""The commands of `onepassword-source`, one file each: options and output together."""
