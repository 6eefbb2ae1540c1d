"""Column types that several tables share."""

from decimal import Decimal
from typing import Any, TypeAlias

from sqlalchemy import Numeric, Row
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class Wei(TypeDecorator[int]):
    """An amount in wei: a Python int, NUMERIC(78,0) in PostgreSQL (2**256 has 78 digits)."""

    impl = Numeric(78, 0)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Decimal | None:
        """Exact: Decimal(int) ignores the context's precision."""
        return None if value is None else Decimal(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """Exact: scale is 0."""
        return None if value is None else int(value)


class WeiSum(Wei):
    """A sum of amounts in wei: above 2**256 where no amount is; room for 10**22 of the largest."""

    impl = Numeric(100, 0)
    cache_ok = True


AnyRow: TypeAlias = Row[*tuple[Any, ...]]
"""A row of whatever columns its statement names."""
