"""From a scan to a record: intake, latest values, averages, the series a station has."""
