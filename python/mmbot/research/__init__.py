"""Research: what a run did, measured with its uncertainty, and shown to a person."""
