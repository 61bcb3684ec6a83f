"""A CryoET Data Portal on loopback: the client's own GraphQL schema over rows in memory, and S3 by moto's server.

The official client and s3fs talk to it over real HTTP; requests are counted, and faults can be injected.
"""

from support.portal_loopback.portal import LoopbackPortal
from support.portal_loopback.server import Fault

__all__ = ["Fault", "LoopbackPortal"]
