"""What several tests share: the reference library's environment, neutral projects, dumps of projects."""
