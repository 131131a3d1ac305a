"""The one place that changes the machine: mounts, namespaces, netlink, firewall, cgroups."""
