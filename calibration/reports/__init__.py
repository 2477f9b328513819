"""Reports as data: from the records of a station to sections, tables and charts that any renderer can show."""
