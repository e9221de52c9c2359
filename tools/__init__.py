"""The programs that build, run and watch Capstan: the `capstan` command, the local launcher, generators, benchmarks."""
