"""The command line `sampan`: docker's commands, flags and output over the client.

    main ── table: path of words -> module ── commands/<noun>/<verb>: COMMAND (flags, usage) and run(cli, arguments)
                                                 └─ render/: tables, Go templates, units

Start-up time is the design: a command imports what it needs and no more. Nothing on the common path imports asyncio,
typing, dataclasses, enum-heavy modules or rich.
"""
