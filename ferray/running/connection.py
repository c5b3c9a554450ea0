"""The connection to Ray: a cluster that runs already, or one that is started on this machine."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING, Any

import ray

from ferray.errors import ResourceError
from ferray.running.machine import Machine, cluster_address

if TYPE_CHECKING:
    from ferray.study import Study

CONNECT_SECONDS = 5.0
"""Within so long a cluster must answer."""


def connect(address: str | None) -> bool:
    """Connects to Ray; True where that was done here, so that it is to be undone in the end."""
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # else Tune prints tables even when it is told to be silent
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")  # what workers print goes to a file
    if ray.is_initialized():
        return False
    address = cluster_address(address)
    if address:
        _check_address(address)
    options: dict[str, Any] = {"address": address} if address else {"address": "local", "include_dashboard": False}
    handlers = list(logging.getLogger("ray").handlers)
    try:
        ray.init(**options, log_to_driver=True, configure_logging=False)
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        if not address:
            raise
        raise ResourceError(f"no Ray cluster answers at {address!r}: {error}") from None
    finally:
        logging.getLogger("ray").handlers = handlers  # ray.init takes them away
    return True


def check_resources(study: Study, address: str | None) -> None:
    """Raises ResourceError where too little or no cluster would be found, as far as that is known without starting Ray."""
    if ray.is_initialized():
        return
    address = cluster_address(address)
    if address:
        _check_address(address)
    else:
        Machine.here(gpus=study.gpus > 0).check(study)


def there() -> Machine:
    """What Ray has, node by node."""
    each = nodes()
    return Machine.of(each.values(), "this machine" if len(each) == 1 else "the cluster")


def nodes() -> dict[str, tuple[float, float]]:
    """Processors and GPUs of each node that is alive, by its id."""
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return {node["NodeID"]: (node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0)) for node in alive}


def _check_address(address: str) -> None:
    """Raises ResourceError at once for an address where nothing listens; Ray would try for minutes."""
    if address.startswith("ray://"):
        raise ResourceError(
            f"{address}: Ray's client is not supported, since records are kept where the driver runs; "
            "run the command on the cluster's head, or submit it with `ray job submit`"
        )
    host, colon, port = address.rpartition(":")
    if not colon:
        return  # "auto" and the like
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ResourceError(f"no Ray cluster answers at {address!r}: {error}") from None
