"""The two Celery apps, with the settings measured against broken brokers. Defaults can silence a worker for ever.

Sender and worker have an app each, because what makes a worker patient makes a request slow.
"""

# Celery comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue

WAKE = "mill.wake"
CANARY = "mill.canary"

_BOTH: dict[str, Any] = {
    "task_serializer": "json",
    "accept_content": ["json"],
    "result_backend": None,
    "task_ignore_result": True,
    "task_acks_late": False,
    "task_create_missing_queues": True,
    "worker_disable_prefetch": True,
    "worker_prefetch_multiplier": 1,
    "task_default_queue": "general",
}
_QUICK: dict[str, Any] = {
    "socket_timeout": 0.4,
    "socket_connect_timeout": 0.4,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "retry_on_timeout": False,
    "max_retries": 0,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
    "connect_retries_timeout": 0.4,
}
_PATIENT: dict[str, Any] = {
    "socket_timeout": 3,
    "socket_connect_timeout": 2,
    "health_check_interval": 3,
    "socket_keepalive": True,
    "socket_keepalive_options": {4: 10, 5: 5, 6: 3},
    "visibility_timeout": 3600,
}


def sender_app(broker_url: str) -> Celery:
    """For whoever sends: gives up within half a second, never retries."""
    app = Celery("mill-sender", broker=broker_url, set_as_current=False)
    app.conf.update(_BOTH, broker_transport_options=_QUICK, broker_connection_timeout=0.4)
    return app


def worker_app(broker_url: str, queues: tuple[str, ...]) -> Celery:
    """For the worker: notices a dead or half-open broker within seconds and comes back by itself, for ever."""
    app = Celery("mill-worker", broker=broker_url, set_as_current=False)
    app.conf.update(
        _BOTH,
        task_queues=[named_queue(name) for name in queues],
        worker_direct=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=2,
        broker_transport_options=_PATIENT,
    )
    return app


def named_queue(name: str) -> Queue:
    """The queue as both sides declare it."""
    return Queue(name, Exchange(name, type="direct"), routing_key=name)
