"""Service plans: their size comes from their name or is given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwright.domain.plans import Size, size_from_name, size_of
from deskwright.domain.rules import Refused

NUMBERS = st.integers(1, 4096)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_the_name_says_the_size(vcpu: int, ram: int, storage: int) -> None:
    name = f"Cloud PC Enterprise {vcpu}vCPU/{ram}GB/{storage}GB"
    assert size_from_name(name) == Size(vcpu, ram, storage)
    assert size_of(name, None, None, None) == Size(vcpu, ram, storage)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_what_is_given_wins_over_the_name(vcpu: int, ram: int, storage: int) -> None:
    assert size_of("Cloud PC Enterprise 2vCPU/8GB/128GB", vcpu, ram, storage) == Size(vcpu, ram, storage)
    assert size_of("Workshop", vcpu, ram, storage) == Size(vcpu, ram, storage)


def test_the_name_completes_what_is_given() -> None:
    assert size_of("Cloud PC Enterprise 2vCPU/8GB/128GB", None, 16, None) == Size(2, 16, 128)


def test_case_does_not_matter() -> None:
    assert size_from_name("cloud pc 4VCPU/16gb/256Gb") == Size(4, 16, 256)


@pytest.mark.parametrize("name", ["", "Workshop", "2vCPU/8GB", "CPC_E_2C_8GB_128GB"])
def test_a_name_without_a_size_and_nothing_given_is_refused(name: str) -> None:
    assert size_from_name(name) is None
    with pytest.raises(Refused) as refused:
        size_of(name, None, 8, 128)
    assert (refused.value.field, refused.value.value) == ("displayName", name)


@pytest.mark.parametrize("size", [(-1, 8, 128), (2, -8, 128), (2, 8, -1)])
def test_sizes_below_one_are_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(Refused, match="at least 1"):
        size_of("Workshop", *size)


def test_a_name_of_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="at least 1"):
        size_of("Cloud PC 0vCPU/8GB/128GB", None, None, None)
