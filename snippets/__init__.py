"""Short functions to copy. Each file is one function of the same name."""
