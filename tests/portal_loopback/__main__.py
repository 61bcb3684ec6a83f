"""``python -m portal_loopback [bulk]``: serve a portal until standard input ends; prints its two addresses as JSON."""

from __future__ import annotations

import json
import sys

from portal_loopback import bulk, content
from portal_loopback.portal import LoopbackPortal

portal = content.fill(LoopbackPortal())
if "bulk" in sys.argv[1:]:
    bulk.fill(portal)
print(json.dumps({"graphql": portal.graphql.url, "s3": portal.s3.url}), flush=True)
for line in sys.stdin:
    if line.strip() == "counts":
        print(json.dumps({"graphql": portal.graphql.counts, "s3": portal.s3.counts}), flush=True)
    else:
        portal.reset()
        print("{}", flush=True)
portal.stop()
