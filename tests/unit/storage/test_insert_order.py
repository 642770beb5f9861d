"""The order of inserts on made-up graphs of tables: parents first, circles opened where a reference may be null."""

from hypothesis import given
from hypothesis import strategies as st

from backstay.storage.sql.cascade.insert_order import insert_order
from backstay.storage.sql.cascade.tables import ForeignKey, OnDelete


def _key(table, parent, on_delete=OnDelete.CASCADE):
    return ForeignKey(f"{table}_{parent}", table, (parent,), parent, ("id",), on_delete)


def test_parents_come_before_their_children():
    """A table follows all tables that it refers to, and none of its foreign keys is late."""
    keys = [_key("a", "b"), _key("b", "c"), _key("a", "conversations"), _key("c", "turns")]

    order = insert_order(["a", "b", "c"], keys, keys)

    assert order.tables == ("c", "b", "a")
    assert order.late == frozenset()


def test_a_table_that_refers_to_itself_is_inserted_at_once():
    """A reference to the same table needs no order: its rows are inserted together, without a late foreign key."""
    own = _key("a", "a")

    order = insert_order(["a"], [own], [own])

    assert order.tables == ("a",)
    assert order.late == frozenset()


def test_a_circle_is_opened_where_a_reference_may_be_null():
    """Of two tables that refer to each other, the one whose reference may be null comes first, whatever its name."""
    required = _key("a", "b")
    optional = _key("b", "a")

    order = insert_order(["a", "b"], [required, optional], [optional])

    assert order.tables == ("b", "a")
    assert order.late == {optional}


def test_a_circle_of_three_has_one_late_reference():
    """A circle is opened at one table only; the others then follow their parents."""
    keys = [_key("a", "b"), _key("b", "c"), _key("c", "a")]

    order = insert_order(["a", "b", "c"], keys, keys)

    assert order.tables == ("a", "c", "b")
    assert order.late == {keys[0]}


def test_a_circle_of_required_references_is_not_refused():
    """A circle in which no reference may be null leaves its order to the database, which checks at the end."""
    keys = [_key("a", "b"), _key("b", "a")]

    order = insert_order(["a", "b"], keys, [])

    assert order.tables == ("a", "b")
    assert order.late == frozenset()


def test_what_a_delete_sets_to_null_is_late():
    """A reference that a delete sets to null is late even if its parent comes first: a restore may lack the parent."""
    key = _key("a", "conversations", OnDelete.SET_NULL)
    required = _key("a", "turns", OnDelete.SET_DEFAULT)

    order = insert_order(["a"], [key, required], [key])

    assert order.late == {key}


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=14),
    st.permutations(range(6)),
)
def test_every_required_parent_comes_first_if_any_order_allows_it(edges, names):
    """On random graphs whose required references form no circle, no required reference points to a later table."""
    keys, optional = [], set()
    for child, parent, may_be_null in edges:
        key = _key(f"t{names[child]}", f"t{names[parent]}")
        keys.append(key)
        if may_be_null or child <= parent:
            optional.add(key)
    keys = list(dict.fromkeys(keys))

    order = insert_order([f"t{number}" for number in range(6)], keys, optional)

    position = {table: at for at, table in enumerate(order.tables)}
    later = {key for key in keys if position[key.parent] > position[key.table]}
    assert sorted(order.tables) == [f"t{number}" for number in range(6)]
    assert order.late == later
    assert later <= optional
