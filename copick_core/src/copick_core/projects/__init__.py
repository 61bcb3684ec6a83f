"""What is done with whole projects: copying, listing, importing, work on many runs."""
