"""The command line: its frame, and the commands of the framework itself. All others come from plugins."""
