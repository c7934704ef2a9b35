"""Pure core: values and decisions. No I/O, no clock, no event loop, no logging."""
