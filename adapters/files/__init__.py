"""Folders: files that others drop are messages, and deliveries become files that others pick up."""
