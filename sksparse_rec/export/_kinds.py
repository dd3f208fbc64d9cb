"""What the columns of a payload hold."""

NAMES = {bool: "bool", int: "int", float: "float", str: "str"}
# Floats have all integers up to here.
LARGEST_IN_FLOAT = 2**53


class Kinds:
    """Learns the kind of every column from its values.

    Files that are typed need one kind for all values of a column. Integers among
    floats become floats, which have to hold them.
    """

    def __init__(self):
        self._kinds = {}
        # The row and value of the first integer of a column that floats may not have.
        self._large = {}

    def add(self, records, start):
        """Look at the dicts of ``Batch.payload``; ``start`` is the row of the first.

        Raises
        ------
        ValueError
            For a value of another kind than those before, or an integer that would be
            rounded.
        """
        for row, record in enumerate(records, start):
            for name, value in record.items():
                is_list = isinstance(value, list)
                for part in value if is_list else [value]:
                    self._add(name, NAMES[type(part)], is_list, row)
                    if type(part) is int and abs(part) > LARGEST_IN_FLOAT:
                        self._large.setdefault(name, (row, part))
                if value == []:
                    self._add(name, None, True, row)
        for name, (row, value) in self._large.items():
            if self._kinds[name][0] == "float":
                raise ValueError(
                    f"payload[{name!r}][{row}] is {value}, among floats, which would "
                    "round it: give a column values of one kind"
                )

    def items(self):
        """Return the names of the columns, the kind of each, and whether it has lists.

        Returns
        -------
        list of (str, (str, bool))
            The kinds are "bool", "int", "float" and "str". Of lists that are all empty
            it is "str".
        """
        return [
            (name, (kind or "str", is_list))
            for name, (kind, is_list) in self._kinds.items()
        ]

    def _add(self, name, kind, is_list, row):
        known, has_lists = self._kinds.get(name, (None, is_list))
        if known == kind and has_lists == is_list and name in self._kinds:
            return
        both = {known, kind} - {None}
        if both == {"int", "float"}:
            both = {"float"}
        if len(both) > 1 or has_lists != is_list:
            found, before = _words(kind, is_list), _words(known, has_lists)
            raise ValueError(
                f"payload[{name!r}][{row}] is {found}, and values before it are "
                f"{before}: give a column values of one kind"
            )
        self._kinds[name] = (both.pop() if both else None, is_list)


def _words(kind, is_list):
    return f"a list of {kind}" if is_list else str(kind)
