"""The Engine API's client.

Engine ── nouns: containers, images, exec, networks, volumes, system, distribution
   └─ Session: versions, errors, connection pool
         └─ Connection: HTTP/1.1 over a Stream
               └─ Transport: one method, `connect`. BlockingTransport never suspends: `run` drives it without a loop
"""
