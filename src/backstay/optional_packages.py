"""Optional packages, and the message that names what to install."""


def packages_missing(feature: str, extra: str) -> str:
    """Return the message that a feature needs the packages of an extra, with the command that installs them."""
    return f"{feature} needs packages that are not installed; add them with {installation(extra)}"


def is_own_module(error: ModuleNotFoundError) -> bool:
    """Return whether the missing module is one of Backstay: then it is a bug, and no package has to be installed."""
    return (error.name or "").partition(".")[0] == "backstay"


def installation(extra: str) -> str:
    """Return the command that installs the packages of an extra."""
    return f"`pip install '.[{extra}]'` in a checkout of Backstay"
