"""The command line: it parses arguments and shows results, and decides nothing."""
