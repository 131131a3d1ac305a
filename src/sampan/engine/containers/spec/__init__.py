"""From a container's configuration to the OCI runtime spec, purely: validation, users, seccomp, and `build`."""

from sampan.engine.containers.spec.build import build
from sampan.engine.containers.spec.plan import Device, MountPlan, NamespacePaths, SpecPlan
from sampan.engine.containers.spec.update import Update, plan_update
from sampan.engine.containers.spec.users import User, resolve_user
from sampan.engine.containers.spec.validate import adjust, check_start, validate

__all__ = [
    "Device",
    "MountPlan",
    "NamespacePaths",
    "SpecPlan",
    "Update",
    "User",
    "adjust",
    "build",
    "check_start",
    "plan_update",
    "resolve_user",
    "validate",
]
