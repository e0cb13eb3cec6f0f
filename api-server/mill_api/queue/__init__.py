"""Celery as a carrier of hints: a message is a job id, it may be lost, doubled or late, and nothing breaks."""

from mill_api.queue.sender import Sender

__all__ = ["Sender"]
