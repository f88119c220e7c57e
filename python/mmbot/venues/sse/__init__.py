"""Shanghai Stock Exchange, order by order."""
