"""The `guide` command: run programs, check the text, build the site."""
