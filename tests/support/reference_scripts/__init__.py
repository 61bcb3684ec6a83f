"""Programs that run unchanged with either library, in either library's own environment."""
