"""The one patch of the library: a callback may answer on the library's own thread.

Every callback costs a task on our event loop and a wake-up, and the relay's connection stands still
meanwhile: half of all the time an event takes. A callback that has its answer at once can give it
at once. Internal names of exactly 0.45.1; with any other version nothing is patched, and every
callback takes the slow way, which is as right.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Final

import nostr_sdk as sdk

KNOWN_VERSION: Final = "0.45.1"
_NAME: Final = "_uniffi_trait_interface_call_async_with_error"


def answer_at_once() -> bool:
    """Have callbacks that return a status, not a coroutine, answered in place; whether they are."""
    if version("nostr-sdk") != KNOWN_VERSION:
        return False
    module = sdk.nostr_sdk
    slow = getattr(module, _NAME, None)
    if slow is None:
        return False
    if not hasattr(slow, "slow"):
        setattr(module, _NAME, _quick(slow))
    return True


def _quick(slow: Callable[..., None]) -> Callable[..., None]:
    def call(
        make_call: Callable[[], object],
        dropped: object,
        handle_success: Callable[[sdk.AdmitStatus], None],
        *rest: object,
    ) -> None:
        answer = make_call()
        if isinstance(answer, sdk.AdmitStatus):
            handle_success(answer)
        else:
            slow(lambda: answer, dropped, handle_success, *rest)

    call.slow = slow  # type: ignore[attr-defined]  # says that it is done
    return call
