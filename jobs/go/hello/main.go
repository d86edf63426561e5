// hello, in Go: an ordinary WASI command, unmodified by Corovan. Shows argv, environment, stdin, stdout, stderr, sleep
// and exit code; hello in Rust and C takes the same options and prints the same lines.
//
//	hello [--cat] [--sleep MS] [--err TEXT] [--exit N] [anything else is only printed]
//
// Options act in the order given; --exit ends the program. Go's scheduler waits in poll_oneoff alone, so --sleep also
// shows that the node's clock wakes a language runtime's own event loop.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

func main() {
	fmt.Println("hello from Go")
	args := os.Args
	if len(args) > 0 {
		args = args[1:]
	}
	for i, arg := range args {
		fmt.Printf("arg %d: %s\n", i+1, arg)
	}
	for _, variable := range os.Environ() {
		fmt.Println("env", variable)
	}

	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "--cat":
			if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
				complain("stdin: %v", err)
			}
		case "--sleep":
			time.Sleep(time.Duration(number(args, i)) * time.Millisecond)
			i++
		case "--err":
			fmt.Fprintln(os.Stderr, value(args, i))
			i++
		case "--exit":
			os.Exit(int(number(args, i)))
		}
	}
}

// value is what follows option args[i].
func value(args []string, i int) string {
	if i+1 >= len(args) {
		complain("%s needs a value", args[i])
	}
	return args[i+1]
}

func number(args []string, i int) int64 {
	text := value(args, i)
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		complain("%s needs a whole number, found %q", args[i], text)
	}
	return int64(n)
}

func complain(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "hello: "+format+"\n", values...)
	os.Exit(2)
}
