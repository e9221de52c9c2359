"""The `capstan` command: what a person does with a local installation, one file per deed.

Promises: what a program may read goes to standard output, what a person reads meanwhile to standard error; every
failure the user can mend is one sentence and exit status 1; starts quickly, because heavy imports wait until needed.

Must not: know how services are started (`tools.local` does) or print a key other than once, or when asked to.
"""
