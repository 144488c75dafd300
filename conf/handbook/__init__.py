"""The machinery that keeps the handbook true.

Rooms, imports running one way: `snippet` finds programs, `record` runs them,
`timeline` draws what they did, `claims` reads what the tests prove, `check`
finds what a contributor got wrong, `directives` puts it all on a page, and
`cli` is what the Makefile calls.
"""
