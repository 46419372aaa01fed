"""The format OCSF: the Open Cybersecurity Schema Framework 1.5.0, Identity & Access Management.

A sign-in attempt is Authentication (3002), an item usage is Entity Management (3004), an audit event is what
`audit_table` says of its action and its object.
"""
