"""The public names of the package are imported on first use, from the modules that define them."""

import pytest

import backstay


@pytest.mark.parametrize("name", backstay.__all__)
def test_each_public_name_can_be_imported(name):
    """Each public name leads to what it names."""
    assert getattr(backstay, name).__name__.endswith(name)


def test_other_names_are_refused():
    """A name that the package does not have is an AttributeError, as with any module."""
    with pytest.raises(AttributeError, match="has no attribute 'Backstray'"):
        _ = backstay.Backstray
