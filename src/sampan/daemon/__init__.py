"""sampand: the composition root, the only package that imports everything.

main      the command: configuration, log, claim, signals, listening
claim     a daemon's roots and pidfile are its own
settings  what a configuration means on this machine, for each part of the daemon
instance  every object of one daemon, and the order in which they begin and end
"""
