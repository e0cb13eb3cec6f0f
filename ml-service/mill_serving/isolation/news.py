"""Tells the other workers of this replica what crashed here, so that a version is suspended in all of them at once."""

import asyncio
import contextlib
from dataclasses import dataclass

from mill_kit.problems import Problem

from mill_serving.colleagues import Colleagues, Order
from mill_serving.isolation.ward import Ward


@dataclass(frozen=True)
class CrashNews:
    ward: Ward
    colleagues: Colleagues

    async def run(self) -> None:
        """For ever. Crashes are heard of in threads."""
        loop = asyncio.get_running_loop()
        news = asyncio.Queue[Order]()

        def hear(version_id: str, reason: str) -> None:
            loop.call_soon_threadsafe(news.put_nowait, Order("crashed", version_id, reason))

        self.ward.on_crash = hear
        while True:
            order = await news.get()
            with contextlib.suppress(Problem):
                await self.colleagues.tell(order)
