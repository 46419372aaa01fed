"""The records that commands print with `--json`, as types: their JSON Schemas are made from them."""
