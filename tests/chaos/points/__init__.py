"""The points of a call at which its owner is killed, and what the phones find afterwards."""
