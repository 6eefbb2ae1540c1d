import pytest

from chains.gas import floor_doubt, gas_fault


@pytest.mark.parametrize(
    ("data", "intrinsic", "least"),
    [
        (b"", 21_000, 21_000),
        # a byte that is not zero: 16 before anything runs, 40 by the floor
        (b"\x01", 21_016, 21_040),
        (b"\x00", 21_004, 21_010),
        (b"\xff" * 100, 22_600, 25_000),
        (b"\x00" * 50 + b"\x01" * 50, 22_000, 23_500),
    ],
)
def test_what_a_call_costs_before_anything_runs(data: bytes, intrinsic: int, least: int) -> None:
    fault = gas_fault(intrinsic - 1, data, None, None)
    assert fault is not None
    assert (fault.code, str(intrinsic) in fault.reason) == ("INTRINSIC_GAS_TOO_LOW", True)
    # the floor is not every chain's
    assert gas_fault(intrinsic, data, None, None) is None
    assert floor_doubt(least, data) is None
    doubt = floor_doubt(least - 1, data)
    assert doubt is not None
    assert str(least) in doubt


@pytest.mark.parametrize(
    ("gas_limit", "cap", "block", "code"),
    [
        (2**24, 2**24, 60_000_000, None),
        (2**24 + 1, 2**24, 60_000_000, "GAS_LIMIT_ABOVE_CHAIN"),
        (2**24 + 1, None, 60_000_000, None),
        (60_000_000, None, 60_000_000, None),
        (10**8, None, 60_000_000, "GAS_LIMIT_ABOVE_BLOCK"),
        (10**8, None, None, None),
    ],
)
def test_what_chain_and_block_allow(gas_limit: int, cap: int | None, block: int | None, code: str | None) -> None:
    fault = gas_fault(gas_limit, b"", cap, block)
    assert (fault and fault.code) == code
