from hypothesis import given
from hypothesis import strategies as st

from sampling.seeds import SEED_BITS, derive_seed, engine_seed, sample_seed

names = st.lists(st.one_of(st.text(max_size=8), st.integers(0, 99)), min_size=1, max_size=4)


@given(names)
def test_a_seed_fits_every_engine(parts: list[object]) -> None:
    assert 0 <= derive_seed(*parts) < 1 << SEED_BITS


def test_seeds_depend_on_every_name_and_their_order() -> None:
    assert len({derive_seed("a", "b"), derive_seed("b", "a"), derive_seed("ab", ""), derive_seed("a")}) == 4


def test_engines_of_one_model_never_share_a_seed() -> None:
    seeds = {engine_seed(0, "small", f"t/{unit}", start) for unit in range(50) for start in ("x", "y")}
    assert len(seeds) == 100


def test_a_sample_can_be_drawn_again() -> None:
    assert sample_seed(1, "m", "p", 7) == sample_seed(1, "m", "p", 7) != sample_seed(1, "m", "p", 8)
