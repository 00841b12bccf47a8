"""The API's own metrics: for this machine, and for keys with the scope `metrics`."""

from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from raised_api.http.auth import METRICS, access_of
from raised_api.http.client_ip import client_address, is_loopback
from raised_api.http.metrics import MEDIA_TYPE, Metrics
from raised_api.http.problems import Problem


def metrics_handler(metrics: Metrics, trusted_proxies: tuple[str, ...]) -> HTTPRouteHandler:
    """The route that Prometheus reads."""

    @get("/metrics", name="metrics")
    async def read_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        is_local = is_loopback(client_address(request.scope, trusted_proxies))
        if not is_local and METRICS not in access_of(request.scope).scopes:
            raise Problem(403, "Figures are for this machine; from elsewhere, the scope metrics.")
        return Response(metrics.text(), media_type=MEDIA_TYPE)

    return read_metrics
