"""What happened in a span of time: counts of events by what they are about, for the page Insight."""
