"""A copy of the instance's epoch in the token: a data object of its own (PKCS#11 v2.40, section 4.5).

A new object is made before the older ones go, so that there is one at every moment, and the latest counts. An HSM
that takes no data objects just has no copy.
"""

from typing import Any, Final
from uuid import UUID

from pkcs11 import Attribute, ObjectClass

APPLICATION: Final = "talon"
LABEL: Final = "talon-epoch-"
# a token may be shared; more objects than this are not looked at
MAX_OBJECTS: Final = 1_000


def read(session: Any) -> dict[UUID, int]:
    """The latest epoch of every instance that uses this token. pkcs11's PKCS11Error where it fails."""
    found: dict[UUID, int] = {}
    for instance_id, epoch, _ in _objects(session):
        found[instance_id] = max(epoch, found.get(instance_id, 0))
    return found


def raise_to(session: Any, instance_id: UUID, epoch: int) -> None:
    """Keep the epoch unless a later one is there. pkcs11's PKCS11Error where the token does not take it."""
    own = [(found, made) for named, found, made in _objects(session) if named == instance_id]
    if any(found >= epoch for found, _ in own):
        return
    session.create_object(
        {
            Attribute.CLASS: ObjectClass.DATA,
            Attribute.TOKEN: True,
            # whoever writes it has the PIN
            Attribute.PRIVATE: True,
            Attribute.APPLICATION: APPLICATION,
            Attribute.LABEL: f"{LABEL}{instance_id}",
            Attribute.VALUE: str(epoch).encode(),
        }
    )
    for _, made in own:
        made.destroy()


def _objects(session: Any) -> list[tuple[UUID, int, Any]]:
    found = []
    template = {Attribute.CLASS: ObjectClass.DATA, Attribute.APPLICATION: APPLICATION}
    # to the end: a search that is left open is in the way of the next
    for made in list(session.get_objects(template))[:MAX_OBJECTS]:
        label, value = str(made[Attribute.LABEL]), bytes(made[Attribute.VALUE])
        try:
            found.append((UUID(label.removeprefix(LABEL)), int(value), made))
        except ValueError:
            continue  # not one of ours
    return found
