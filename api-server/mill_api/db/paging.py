"""The query parameters of every list: an endpoint takes `page: Paging` and hands it to its repository."""

from typing import Annotated

from fastapi import Depends, Query

from mill_api.db.pages import LONGEST_CURSOR, LONGEST_PAGE, PageRequest, Position


def page_request(
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
    cursor: Annotated[
        str | None, Query(max_length=LONGEST_CURSOR, description="`next_cursor` of the page before")
    ] = None,
) -> PageRequest:
    return PageRequest(limit, Position.parse(cursor) if cursor else None)


Paging = Annotated[PageRequest, Depends(page_request)]
