"""The views under our names, and what putting into them, changing and deleting does."""

from collections.abc import Iterator, Sequence

from backstay.storage.postgres.adoption.columns import View, ViewColumn
from backstay.storage.postgres.adoption.mapping import TableMapping
from backstay.storage.postgres.adoption.side_tables import PREFIX, in_dollars, owner_of
from backstay.storage.postgres.errors import ABSENT, UNLIKE
from backstay.storage.postgres.queries import quoted

_KEPT = "HF003"  # raised and caught within one function


def make(mapped: TableMapping, schema: str, conversations: View, turns: View, *, guarded: bool) -> Iterator[str]:
    """Yield what makes them. `guarded`: whoever asks sees what policies of theirs and ours let through."""
    yield from _ConversationsView(mapped, schema, conversations).make(guarded=guarded)
    yield from _TurnsView(mapped, schema, turns).make(guarded=guarded)


class _ConversationsView:
    """The view `conversations`: their rows, and what stands beside them."""

    def __init__(self, mapped: TableMapping, schema: str, view: View) -> None:
        self._mapped = mapped
        self._schema = schema
        self._view = view
        self._place = mapped.conversations.place
        self._beside = f"{schema}.adopted_conversations"
        self._names = [name for name in mapped.beside if name != "owner"]
        identity = mapped.of_conversations["id"]
        self._given = f"NEW.id::{identity.cast}"
        self._old = f"OLD.{quoted(view.raw.get('id', 'id'))}"
        self._same = f"theirs.{quoted(identity.name)} = {self._old}"

    def make(self, *, guarded: bool) -> Iterator[str]:
        identity = quoted(self._mapped.of_conversations["id"].name)
        owned = ""
        if "owner" in self._mapped.of_conversations:
            # Once more: should a trigger of ours have been switched off, the row is nobody's rather than another's.
            # Not as an equation: the planner would think that it holds for next to no row, and read all of them.
            owner = owner_of(self._mapped, "theirs")
            owned = f" WHERE coalesce(beside.owner = {owner}, beside.owner IS NULL AND {owner} IS NULL)"
        source = f"{self._beside} AS beside JOIN {self._place} AS theirs ON theirs.{identity} = beside.their_id"
        yield _view(self._schema, "conversations", self._view, source, owned, guarded=guarded)
        for event, body in (("INSERT", self._put()), ("DELETE", self._delete()), ("UPDATE", self._change())):
            yield from _instead(self._schema, "conversations", event, body)

    def _put(self) -> str:
        key = f"coalesce(NEW.key, pg_catalog.nextval('{self._schema}.conversations_key'))"
        names = ["key", "their_id", "id", "owner", *self._names]
        values = [key, self._given, "NEW.id", "NEW.owner", *(f"NEW.{name}" for name in self._names)]
        return f"""
            IF ({self._given})::text IS DISTINCT FROM NEW.id THEN
                RAISE EXCEPTION 'the id does not fit' USING ERRCODE = '{UNLIKE}';
            END IF;
            {_insert(self._beside, names, values)};
            {_insert_written(self._place, self._view.written)};
            IF NOT FOUND THEN
                DELETE FROM {self._beside} AS beside WHERE beside.their_id = {self._given};
                RETURN NULL;
            END IF;
            RETURN NEW;
        """

    def _delete(self) -> str:
        gone = f"DELETE FROM {self._place} AS theirs WHERE {self._same};"
        if self._mapped.key.cascades:
            return f"{gone} IF NOT FOUND THEN RETURN NULL; END IF; RETURN OLD;"
        whose = quoted(self._mapped.conversation.name)
        return f"""
            BEGIN
                DELETE FROM {self._mapped.turns.place} AS theirs WHERE theirs.{whose} = {self._old};
                {gone}
                IF NOT FOUND THEN
                    RAISE EXCEPTION 'kept' USING ERRCODE = '{_KEPT}';
                END IF;
            EXCEPTION WHEN SQLSTATE '{_KEPT}' THEN
                RETURN NULL;  -- a trigger of theirs keeps it, so its turns are kept, too
            END;
            RETURN OLD;
        """

    def _change(self) -> str:
        names = list(self._names)
        if "owner" not in self._mapped.of_conversations:
            names.append("owner")
        sets = ", ".join(f"{name} = NEW.{name}" for name in names)
        beside = f"UPDATE {self._beside} AS beside SET {sets} WHERE beside.key = OLD.key;" if names else ""
        always = {name for name, column in self._mapped.conversations.columns.items() if column.is_always}
        return f"{beside} {_update(self._place, self._view, always, self._same)} RETURN NEW;"


class _TurnsView:
    """The view `turns`."""

    def __init__(self, mapped: TableMapping, schema: str, view: View) -> None:
        self._mapped = mapped
        self._schema = schema
        self._view = view
        self._place = mapped.turns.place
        self._whose = mapped.conversation.name
        self._names = mapped.turns_beside
        self._raws = {name: view.raw.get(view.names[name], view.names[name]) for name in mapped.identity}
        self._same = " AND ".join(f"theirs.{quoted(name)} = OLD.{quoted(raw)}" for name, raw in self._raws.items())

    def make(self, *, guarded: bool) -> Iterator[str]:
        source = (
            f"{self._place} AS theirs JOIN {self._schema}.adopted_conversations AS beside"
            f" ON beside.their_id = theirs.{quoted(self._whose)}"
        )
        yield _view(self._schema, "turns", self._view, source, guarded=guarded)
        declared = f"whose {self._mapped.of_conversations['id'].cast}; there record;"
        yield from _instead(self._schema, "turns", "INSERT", self._put(), declared)
        gone = f"DELETE FROM {self._place} AS theirs WHERE {self._same};"
        yield from _instead(
            self._schema, "turns", "DELETE", f"{gone} IF NOT FOUND THEN RETURN NULL; END IF; RETURN OLD;"
        )
        yield from _instead(self._schema, "turns", "UPDATE", self._change())

    def _put(self) -> str:
        identity = ", ".join(f"theirs.{quoted(name)}" for name in self._mapped.identity)
        written = [column for column in self._view.written if column.to != self._whose]
        beside = ""
        if self._names:
            told = [f"there.{quoted(name)}" for name in self._mapped.identity]
            is_more = " OR ".join(f"NEW.{name} IS NOT NULL" for name in self._names)
            beside = f"IF {is_more} THEN {self._insert_beside(told)}; END IF;"
        return f"""
            whose := {self._schema}.adopted_id(NEW.conversation_key);
            IF whose IS NULL THEN
                RAISE EXCEPTION 'no such conversation' USING ERRCODE = '{ABSENT}';
            END IF;
            {_insert_written(self._place, [*written, ViewColumn("", "", self._whose, "whose")])}
            RETURNING {identity} INTO there;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
            {beside}
            RETURN NEW;
        """

    def _change(self) -> str:
        always = {name for name, column in self._mapped.turns.columns.items() if column.is_always} | {self._whose}
        beside = ""
        if self._names:
            is_other = " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in self._names)
            key = ", ".join(map(quoted, self._mapped.identity))
            sets = ", ".join(f"{PREFIX}{name} = EXCLUDED.{PREFIX}{name}" for name in self._names)
            put = self._insert_beside([f"OLD.{quoted(raw)}" for raw in self._raws.values()])
            beside = f"IF {is_other} THEN {put} ON CONFLICT ({key}) DO UPDATE SET {sets}; END IF;"
        return f"{beside} {_update(self._place, self._view, always, self._same)} RETURN NEW;"

    def _insert_beside(self, told: Sequence[str]) -> str:
        names = [*map(quoted, self._mapped.identity), *(PREFIX + name for name in self._names)]
        return _insert(f"{self._schema}.adopted_turns", names, [*told, *(f"NEW.{name}" for name in self._names)])


def _view(schema: str, name: str, view: View, source: str, owned: str = "", *, guarded: bool) -> str:
    shown = ", ".join(f"{column.shown} AS {quoted(column.name)}" for column in view.columns)
    defaults = "".join(
        f"; ALTER VIEW {schema}.{name} ALTER COLUMN {quoted(column.name)} SET DEFAULT {column.default}"
        for column in view.columns
        if column.default is not None
    )
    # Whoever asks is held to the policies of the tables below. A view that filters by itself would have to be a
    # barrier, through which the planner sees no index.
    asking = " WITH (security_invoker)" if guarded else ""
    return f"CREATE VIEW {schema}.{name}{asking} AS SELECT {shown} FROM {source}{owned}{defaults}"


def _instead(schema: str, view: str, event: str, body: str, declared: str = "") -> Iterator[str]:
    function = f"{schema}.adopted_{view}_{event.lower()}"
    declare = f"DECLARE {declared} " if declared else ""
    # With no search path of its own: triggers of theirs are to find what they find.
    whole = in_dollars(f"#variable_conflict use_column\n{declare}BEGIN {body} END")
    yield f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS {whole}"
    yield f"REVOKE ALL ON FUNCTION {function}() FROM PUBLIC"
    yield (
        f"CREATE TRIGGER {PREFIX}{event.lower()} INSTEAD OF {event} ON {schema}.{view}"
        f" FOR EACH ROW EXECUTE FUNCTION {function}()"
    )


def _insert(place: str, names: Sequence[str], values: Sequence[str]) -> str:
    return f"INSERT INTO {place} ({', '.join(names)}) VALUES ({', '.join(values)})"


def _insert_written(place: str, columns: Sequence[ViewColumn]) -> str:
    names = ", ".join(quoted(str(column.to)) for column in columns)
    values = ", ".join(str(column.stored) for column in columns)
    return f"INSERT INTO {place} AS theirs ({names}) OVERRIDING SYSTEM VALUE VALUES ({values})"


def _update(place: str, view: View, always: set[str], same: str) -> str:
    sets = [_changed(column, view) for column in view.written if column.to not in always]
    if not sets:
        return ""
    return f"UPDATE {place} AS theirs SET {', '.join(sets)} WHERE {same}; IF NOT FOUND THEN RETURN NULL; END IF;"


def _changed(column: ViewColumn, view: View) -> str:
    """Return what sets a column of theirs: where ours says the same as before, to what it is."""
    to = quoted(str(column.to))
    if column.is_plain:
        return f"{to} = NEW.{quoted(column.name)}"
    kept = [one.name for one in view.columns if one.name == PREFIX + column.name and one.to is None]
    told = [quoted(name) for name in (column.name, *kept)]
    is_other = " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in told)
    return f"{to} = CASE WHEN {is_other} THEN {column.stored} ELSE theirs.{to} END"
