"""``python -m support.portal_loopback [bulk]``: serve a portal until standard input ends; prints its two addresses as JSON."""

from __future__ import annotations

import json
import sys

from support.portal_loopback import bulk, content
from support.portal_loopback.portal import LoopbackPortal


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


portal = content.fill(LoopbackPortal())
if "bulk" in sys.argv[1:]:
    bulk.fill(portal)
_say({"graphql": portal.graphql.url, "s3": portal.s3.url})
for line in sys.stdin:
    if line.strip() == "counts":
        _say({"graphql": portal.graphql.counts, "s3": portal.s3.counts})
    else:
        portal.reset()
        _say({})
portal.stop()
