//! Nothing: each job is a file of its own, under `examples/` (coroutine functions), `src/bin/` (commands), `c/` and `go/`.
