"""Jobs: truth in the database. Claim, lease, heartbeat and fence; the doorbell's names, no broker."""
