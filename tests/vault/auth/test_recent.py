"""What a process remembers of who proved to be somebody."""

from vault.auth.recent import Memory, Recent


def test_a_memory_ends_with_time_and_with_its_size() -> None:
    now = [0.0]
    memory = Memory(10, most=2, clock=lambda: now[0])
    memory.note("a", "1")
    assert memory.get("a") == "1"
    now[0] = 9
    memory.note("a", "2")
    now[0] = 18
    assert memory.get("a") == "2"
    now[0] = 20
    assert memory.get("a") is None
    for key in "bcd":
        memory.note(key, key)
    assert [memory.get(key) for key in "bcd"] == [None, "c", "d"]
    memory.forget("d")
    assert memory.get("d") is None


def test_what_was_refused_is_nobodys() -> None:
    recent = Recent()
    recent.proved("key", "agent:1", "2001:db8::1")
    assert recent.principal("key") == "agent:1"
    # the network is the host
    assert recent.knows("2001:db8::2")
    assert not recent.knows("2001:db8:0:1::1")
    recent.refused("key")
    assert recent.principal("key") is None
    recent.proved("key", "agent:1", None)
    assert not recent.knows(None)
