"""The table of the comparison with the chains."""

from sqlalchemy import BigInteger, CheckConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class ChainsCompared(Base):
    """The one row that says for which start (`instance.start_epoch`) all chains have been asked once."""

    __tablename__ = "chains_compared"
    __table_args__ = (CheckConstraint("is_only", name="only_one"),)

    is_only: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    epoch: Mapped[int] = mapped_column(BigInteger)
