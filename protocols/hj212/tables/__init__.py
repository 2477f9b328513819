"""HJ 212 as data: commands, fields, factors, flags, codes, each row with its edition, clause and evidence.

Nothing is read before it is asked for; the tables of factors are never read by a running station.
"""
