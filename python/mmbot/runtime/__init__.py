"""A run on a live feed: one loop that hears, decides, writes down and sends, and the way in and out of it."""
