"""The HTTP edge of the daemon: Docker's Engine API, versions 1.24 to 1.51.

    ApiServer.handle(Request)
      │  clean path? version prefix? route?             app, versions, table
      ▼
    handler(Call): decode, one service call, reply      routes/<noun>, call, replies, filters
      │  raises an error by kind                        errors: the one map from kinds to statuses
      ▼
    Response or Upgrade, changed for older versions     compat

Operations that Sampan leaves out (a swarm's, plugins') answer as a docker daemon outside a swarm: `outside`.
"""

from __future__ import annotations

from sampan.server.app import ApiServer
from sampan.server.routes import Backends, build_routes
from sampan.server.table import Route, RouteTable

__all__ = ["ApiServer", "Backends", "Route", "RouteTable", "build_routes"]
