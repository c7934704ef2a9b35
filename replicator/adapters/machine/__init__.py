"""What this machine gives: its clock, its threads, and worker processes."""
