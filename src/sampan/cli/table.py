"""The commands: which module serves which words. Nothing is imported before it is asked for.

A module sampan.cli.commands.<noun>.<verb> declares COMMAND and `run(cli, arguments) -> exit code`.
"""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {
    "container attach": (
        "container.attach",
        "Attach local standard input, output, and error streams to a running container",
    ),
    "container commit": ("container.commit", "Create a new image from a container's changes"),
    "container cp": ("container.cp", "Copy files/folders between a container and the local filesystem"),
    "container create": ("container.create", "Create a new container"),
    "container diff": ("container.diff", "Inspect changes to files or directories on a container's filesystem"),
    "container exec": ("container.exec", "Execute a command in a running container"),
    "container export": ("container.export", "Export a container's filesystem as a tar archive"),
    "container inspect": ("container.inspect", "Display detailed information on one or more containers"),
    "container kill": ("container.kill", "Kill one or more running containers"),
    "container logs": ("container.logs", "Fetch the logs of a container"),
    "container ls": ("container.ls", "List containers"),
    "container pause": ("container.pause", "Pause all processes within one or more containers"),
    "container port": ("container.port", "List port mappings or a specific mapping for the container"),
    "container prune": ("container.prune", "Remove all stopped containers"),
    "container rename": ("container.rename", "Rename a container"),
    "container restart": ("container.restart", "Restart one or more containers"),
    "container rm": ("container.rm", "Remove one or more containers"),
    "container run": ("container.run", "Create and run a new container from an image"),
    "container start": ("container.start", "Start one or more stopped containers"),
    "container stats": ("container.stats", "Display a live stream of container(s) resource usage statistics"),
    "container stop": ("container.stop", "Stop one or more running containers"),
    "container top": ("container.top", "Display the running processes of a container"),
    "container unpause": ("container.unpause", "Unpause all processes within one or more containers"),
    "container update": ("container.update", "Update configuration of one or more containers"),
    "container wait": ("container.wait", "Block until one or more containers stop, then print their exit codes"),
    "context create": ("context.create", "Create a context"),
    "context inspect": ("context.inspect", "Display detailed information on one or more contexts"),
    "context ls": ("context.ls", "List contexts"),
    "context rm": ("context.rm", "Remove one or more contexts"),
    "context show": ("context.show", "Print the name of the current context"),
    "context use": ("context.use", "Set the current context"),
    "image history": ("image.history", "Show the history of an image"),
    "image import": ("image.import_", "Import the contents from a tarball to create a filesystem image"),
    "image inspect": ("image.inspect", "Display detailed information on one or more images"),
    "image load": ("image.load", "Load an image from a tar archive or STDIN"),
    "image ls": ("image.ls", "List images"),
    "image prune": ("image.prune", "Remove unused images"),
    "image pull": ("image.pull", "Download an image from a registry"),
    "image push": ("image.push", "Upload an image to a registry"),
    "image rm": ("image.rm", "Remove one or more images"),
    "image save": ("image.save", "Save one or more images to a tar archive (streamed to STDOUT by default)"),
    "image tag": ("image.tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
    "network connect": ("network.connect", "Connect a container to a network"),
    "network create": ("network.create", "Create a network"),
    "network disconnect": ("network.disconnect", "Disconnect a container from a network"),
    "network inspect": ("network.inspect", "Display detailed information on one or more networks"),
    "network ls": ("network.ls", "List networks"),
    "network prune": ("network.prune", "Remove all unused networks"),
    "network rm": ("network.rm", "Remove one or more networks"),
    "registry copy": ("registry.copy", "Copy images from one registry to another"),
    "registry gc": ("registry.gc", "Remove what nothing in a registry refers to"),
    "registry inspect": ("registry.inspect", "Display what a registry has under a name"),
    "registry ls": ("registry.ls", "List the repositories of a registry"),
    "registry rm": ("registry.rm", "Remove tags or manifests from a registry"),
    "registry serve": ("registry.serve", "Serve a registry of images"),
    "registry tags": ("registry.tags", "List the tags of a repository"),
    "system df": ("system.df", "Show disk usage"),
    "system events": ("system.events", "Get real time events from the server"),
    "system info": ("system.info", "Display system-wide information"),
    "system prune": ("system.prune", "Remove unused data"),
    "volume create": ("volume.create", "Create a volume"),
    "volume inspect": ("volume.inspect", "Display detailed information on one or more volumes"),
    "volume ls": ("volume.ls", "List volumes"),
    "volume prune": ("volume.prune", "Remove unused local volumes"),
    "volume rm": ("volume.rm", "Remove one or more volumes"),
    "inspect": ("system.inspect", "Return low-level information on objects"),
    "login": ("system.login", "Authenticate to a registry"),
    "logout": ("system.logout", "Log out from a registry"),
    "search": ("image.search", "Search a registry for images"),
    "version": ("system.version", "Show the version information"),
}

GROUPS: dict[str, str] = {
    "container": "Manage containers",
    "context": "Manage contexts",
    "image": "Manage images",
    "network": "Manage networks",
    "registry": "Serve a registry, and manage what is in one",
    "system": "Manage the engine",
    "volume": "Manage volumes",
}

SHORT: dict[str, str] = {
    **{
        path.removeprefix("container "): path
        for path in COMMANDS
        if path.startswith("container ") and path not in ("container inspect", "container ls", "container prune")
    },
    "ps": "container ls",
    "history": "image history",
    "images": "image ls",
    "import": "image import",
    "load": "image load",
    "pull": "image pull",
    "push": "image push",
    "rmi": "image rm",
    "save": "image save",
    "tag": "image tag",
    "events": "system events",
    "info": "system info",
}
"""Commands of one word that stand for one of two."""

ALIASES: dict[str, str] = {
    "container list": "container ls",
    "container ps": "container ls",
    "container remove": "container rm",
    "context list": "context ls",
    "context remove": "context rm",
    "image list": "image ls",
    "image remove": "image rm",
    "network list": "network ls",
    "network remove": "network rm",
    "volume list": "volume ls",
    "volume remove": "volume rm",
}
"""Other names of commands, not in the help."""

COMMON = ("run", "exec", "ps", "pull", "push", "images", "login", "logout", "search", "version", "info")
"""What the help shows first."""


def find(words: list[str]) -> tuple[str, str, list[str]]:
    """Return (command as typed, its path in COMMANDS, the rest), or ("", "", words)."""
    for count in (2, 1):
        typed = " ".join(words[:count])
        path = SHORT.get(typed) or ALIASES.get(typed) or typed
        if len(words) >= count and path in COMMANDS:
            return typed, path, words[count:]
    return "", "", words
