"""`talon doctor`: looks at every part of an instance, stopped or running, changes nothing, shows no secret."""
