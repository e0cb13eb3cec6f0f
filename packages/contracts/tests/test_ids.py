from mill_contracts.ids import new_id


def test_ids_are_version_seven_and_sort_by_time() -> None:
    ids = [new_id(milliseconds) for milliseconds in (1, 1_000, 1_763_661_600_000, 2**48 - 1)]
    assert ids == sorted(ids)
    assert {(identity.version, identity.variant) for identity in ids} == {(7, "specified in RFC 4122")}


def test_ids_of_one_millisecond_differ() -> None:
    assert len({new_id(5) for _ in range(10_000)}) == 10_000
