"""One technology per file: ports made real, their libraries' errors translated at the edge."""
