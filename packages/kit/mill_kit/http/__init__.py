"""The HTTP manners both services share: problems, request ids, health, metrics, slashes. Pure ASGI, no framework routing."""
