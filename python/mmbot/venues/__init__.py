"""Places that take our orders: each with a pure wire (bytes to records and back) and a session that does the I/O."""
