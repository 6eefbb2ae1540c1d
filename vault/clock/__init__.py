"""Which time is believed: what the database's clock says, held against the time that really passed."""
