"""What a project has, over HTTP and read-only: for the viewer of this package, and for viewers of others.

:func:`~copick_view.server.handlers.handlers` makes the handlers, for any tornado application; ``copick-core serve`` runs them
alone.
"""
