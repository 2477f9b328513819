"""How far the station's clock is believed, and what becomes of records made while it was not."""
