// rcoro_proc, in Go: sleeps for n seconds and returns n, as the Rust one. Shows a coroutine function that Go exports, and that
// time.Sleep suspends the coroutine.
package main

import (
	"fmt"
	"time"

	corovan "github.com/corovan/corovan/guest-sdk/go"
)

//go:wasmexport rcoro_proc
func rcoroProc() {
	corovan.Run(func(args corovan.Args) (any, error) {
		var n float64
		if err := args.Scan(&n); err != nil {
			return nil, err
		}
		if !(n >= 0 && n < 1e9) {
			return nil, fmt.Errorf("cannot sleep for %v seconds", n)
		}
		time.Sleep(time.Duration(n * float64(time.Second)))
		return n, nil
	})
}

// panics ends as failed, kind "panic", as the Rust one in faults.
//
//go:wasmexport panics
func panics() {
	corovan.Run(func(corovan.Args) (any, error) { panic("as asked") })
}

func main() {}
