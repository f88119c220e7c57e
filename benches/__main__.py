"""`python -m benches`: the whole comparison."""

from benches.compare import main

main()
