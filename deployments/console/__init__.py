"""The web console: what a team sees of its sources, events and SIEMs, and what it can do about them."""
