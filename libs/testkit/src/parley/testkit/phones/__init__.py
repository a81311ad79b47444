"""Real phones under test control: baresip and sipp as child processes."""
