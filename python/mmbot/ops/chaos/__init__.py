"""Leaders that die on purpose: on a simulated lock, on real Sentinels, on a real PostgreSQL; and what was found."""
