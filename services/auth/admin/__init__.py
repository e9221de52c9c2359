"""The administration: organisations, projects, people, keys, limits, groups and roles, changed by whoever may.

Promises: no method runs before `desk` has judged the calling key with what its owner may do now; nobody gives away what
they have not; every change is in the audit log with the commit that makes it; what belongs to another organisation does
not exist, by the statements and by the database's own wall.

Must not: show a key twice, remove what the log still names, or be asked for anything while a request is served.

    desk      who calls, whether they may, and the transaction they get
    call      what a method works with: its organisation's rows, the log, the rights of whoever called
    paging    one part of a list
    servicer  the methods by their names
    and one module per noun, each with the methods of it
"""
