"""Management of micro-sensor boards: the bytes of `firmware_bridge` carried, acts recorded, batches run."""
