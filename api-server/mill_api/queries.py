"""Refuses query parameters that a route does not have: a filter with a slip of the pen must not mean "everything".

`description.add_routes` puts it in front of every route.
"""

from difflib import get_close_matches

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from mill_api.errors import Invalid


class UnknownQuery(Invalid):
    slug = "unknown-query-parameter"
    title = "This route has no such query parameter"


async def only_known_query(request: Request) -> None:
    """Raises `UnknownQuery`, which names each one and the nearest that there is."""
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = _known(route.dependant)
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if unknown:
        raise UnknownQuery(
            f"The route takes {', '.join(sorted(known)) or 'no query parameters'}",
            errors=[{"pointer": f"/query/{name}", "detail": _advice(name, known)} for name in unknown],
        )


def _known(dependant: Dependant) -> frozenset[str]:
    """By the endpoint and all it depends on."""
    own = frozenset(field.alias for field in dependant.query_params)
    return own.union(*(_known(inner) for inner in dependant.dependencies))


def _advice(name: str, known: frozenset[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"is not known here; did you mean {near[0]!r}?" if near else "is not known here"
