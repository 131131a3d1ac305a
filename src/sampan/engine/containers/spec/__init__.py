"""From a container's configuration to the OCI runtime spec, purely: validation, users, seccomp, and `build`."""

from sampan.engine.containers.spec.build import build
from sampan.engine.containers.spec.plan import Device, MountPlan, NamespacePaths, SpecPlan
from sampan.engine.containers.spec.users import User, resolve_user

__all__ = ["Device", "MountPlan", "NamespacePaths", "SpecPlan", "User", "build", "resolve_user"]
