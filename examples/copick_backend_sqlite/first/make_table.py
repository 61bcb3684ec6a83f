"""Make a table of picks: run, object, user, session, and the points as copick writes them."""

import json
import sqlite3

points = [{"location": {"x": 10.0, "y": 20.0, "z": 30.0}}]
picks = {"pickable_object_name": "ribosome", "user_id": "bob", "session_id": "1", "points": points}
with sqlite3.connect("picks.sqlite") as db:
    db.execute("CREATE TABLE picks (run TEXT, object TEXT, user TEXT, session TEXT, json TEXT)")
    db.execute("INSERT INTO picks VALUES ('TS_001', 'ribosome', 'bob', '1', ?)", [json.dumps(picks)])
db.close()
