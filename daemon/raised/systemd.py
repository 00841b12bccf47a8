"""Notifications to systemd: ready, stopping, alive. Source: sd_notify(3)."""

import socket


def notify(address: str | None, state: str) -> None:
    """Send a line such as READY=1 to the notify socket; nothing to do where there is none.

    A message that cannot be delivered is dropped: systemd restarts us when it misses too many.
    """
    if not address:
        return
    path = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.connect(path)
            sock.sendall(state.encode())
        except OSError:
            return
