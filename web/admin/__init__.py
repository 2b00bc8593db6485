"""The admin API: JSON for the operator's tools and the command line."""
