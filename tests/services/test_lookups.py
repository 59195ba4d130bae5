"""Results shared and kept (CORE-52); how it serves the resolver is tested there."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from refproxy.services.lookups import Failure, Found, Lookups


class Source:
    """A lookup that counts, and may be held up."""

    def __init__(self, outcome: Found[str] | Failure) -> None:
        self.outcome, self.calls = outcome, 0
        self.is_ready = trio.Event()
        self.is_ready.set()

    async def __call__(self) -> Found[str] | Failure:
        self.calls += 1
        await self.is_ready.wait()
        return self.outcome


async def test_a_result_is_kept_to_the_end_of_its_last_second(autojump_clock: MockClock) -> None:
    lookups, source = Lookups[str](5), Source(Found("x", 3))
    await trio.sleep(0.9)
    for sleep, calls in ((0, 1), (3, 1), (0.05, 1), (0.1, 2)):
        await trio.sleep(sleep)
        assert await lookups.get(b"k", source) == Found("x", 3)
        assert source.calls == calls


@pytest.mark.parametrize("outcome", [Found("x", None), Failure(3, "no")])
async def test_what_may_not_be_kept_is_not(outcome: Found[str] | Failure) -> None:
    lookups, source = Lookups[str](5), Source(outcome)
    for calls in (1, 2):
        assert await lookups.get(b"k", source) == outcome
        assert source.calls == calls


async def test_the_least_recently_used_result_goes_first() -> None:
    lookups = Lookups[str](2)
    sources = {key: Source(Found(key, 60)) for key in "abc"}
    for key in "abac":
        await lookups.get(key.encode(), sources[key])
    for key in "acb":
        await lookups.get(key.encode(), sources[key])
    assert [sources[key].calls for key in "abc"] == [1, 2, 1]


async def test_a_defect_ends_the_lookup_of_its_caller_only() -> None:
    """The others try for themselves."""
    lookups, good = Lookups[str](5), Source(Found("x", 1))
    is_ready = trio.Event()

    async def broken() -> Found[str]:
        await is_ready.wait()
        raise ValueError("a defect")

    async def lead() -> None:
        with pytest.raises(ValueError, match="a defect"):
            await lookups.get(b"k", broken)

    async def follow() -> None:
        assert await lookups.get(b"k", good) == Found("x", 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lead)
        await wait_all_tasks_blocked()
        nursery.start_soon(follow)
        nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        is_ready.set()
    assert good.calls == 1


async def test_different_keys_do_not_wait_for_each_other() -> None:
    lookups, slow, quick = Lookups[str](5), Source(Found("slow", 1)), Source(Found("quick", 1))
    slow.is_ready = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lookups.get, b"slow", slow)
        await wait_all_tasks_blocked()
        assert await lookups.get(b"quick", quick) == Found("quick", 1)
        slow.is_ready.set()
