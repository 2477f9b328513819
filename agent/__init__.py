"""The daemon on the station PC, its command line and its page."""
