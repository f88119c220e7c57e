"""The other engines, each run in an environment of its own, and the data in their form."""
