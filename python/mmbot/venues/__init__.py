"""Places that take our orders: for each, a pure wire (bytes to records and back) and a session that does all the I/O."""
