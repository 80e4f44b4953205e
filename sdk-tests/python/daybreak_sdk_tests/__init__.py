"""What the tests stand on: a served binary, a strict client, and sessions to talk to."""
