"""Runs programs, and keeps what they found."""
