"""Services of this machine: clock, threads, processes, file locks, owners and modes of files."""
