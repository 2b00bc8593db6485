"""The message router: from a source, through a channel, into the chart, to whoever must hear."""
