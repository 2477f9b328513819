"""Reports as files: one self-contained page, a workbook, a PDF, canonical JSON; signed, and made from a station's past.

The libraries of workbooks and PDF are an extra (`pip install plumeline[reports]`), imported where they are used.
"""
