"""Draws the figures and writes the pages."""
