"""What the images are made of: used by the Dockerfile while it builds, by nothing that runs.

    leftovers   which files nobody reads in a container: pure
    trim        takes them out of a folder of packages, and debug symbols out of shared objects
    root        a root file system with Python, the shared libraries it needs, and nothing else
    imports     every import statement of the sources, executed: a build that cut too much fails here

Promises: what is left out is left out by rules that `leftovers` holds in one place, each with its reason; sources stay
beside byte code, so that a traceback shows lines; every file of the system comes with the entry of the package it is
of, so that scanners know its version.

Must not: import anything but the standard library; it runs on the bare Python of the base image.
"""
