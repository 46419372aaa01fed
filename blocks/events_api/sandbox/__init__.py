"""A fake 1Password Events API for the demo, for tests, and for the CI of whoever reads that API."""
