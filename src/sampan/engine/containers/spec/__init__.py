"""From a container's configuration to the OCI runtime spec, purely: validation, users, seccomp, and `build`."""
