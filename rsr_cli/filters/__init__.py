"""Filters: each says which valid rollouts formatters do not see; one file each."""
