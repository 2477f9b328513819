"""HJ 212 as data: commands, fields, factors, flags, codes, each row with its edition, clause and evidence.

Nothing is read before it is asked for; a running station reads the tables of commands and fields alone. The lists of
codes are in `lists`; `lookup.explain` asks all of them.
"""
