"""Microsoft Graph's Cloud PC API, and the directory calls its clients need.

`contract` is the API as data, `routes` finds who serves a call, `listing` answers lists, one module under `resources`
per kind of object. Nothing here decides: every change is a function of `operations`.
"""
