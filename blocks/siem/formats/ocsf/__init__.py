"""The format OCSF: the Open Cybersecurity Schema Framework 1.5.0, Identity & Access Management.

A sign-in attempt is Authentication (3002), an item usage is Entity Management (3004), `audit_table` has the class of an
audit event, by its object type and action.
"""
