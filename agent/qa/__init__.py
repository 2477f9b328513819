"""Quality assurance of a running station: who is in control, what instruments say of themselves, who signed."""
