"""Holds the text against the results."""
