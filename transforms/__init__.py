"""Translations: pure functions, data first. Dropping a file or folder in here installs it."""
