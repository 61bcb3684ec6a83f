"""The command line's rooms: one module per subcommand, and what they draw and print with."""
