// Package corovan is what a job in Go needs of a Corovan node: arguments, results, sleep, log and progress, other coroutines and
// their messages.
//
//	//go:wasmexport rcoro_proc
//	func rcoroProc() {
//		corovan.Run(func(args corovan.Args) (any, error) {
//			var n float64
//			if err := args.Scan(&n); err != nil {
//				return nil, err
//			}
//			time.Sleep(time.Duration(n * float64(time.Second)))
//			return n, nil
//		})
//	}
//
//	func main() {}
//
// Build it with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared. The host interface itself is in guest-sdk/abi.
package corovan

import "fmt"

// Code says why a call did not do what was asked. Numbers never change meaning; later versions add to them.
type Code uint32

// Every code.
const (
	// Timeout: The time given to the call ran out. It may still take effect, at most once.
	Timeout Code = 1
	// Gone: The target has ended, or was never there.
	Gone Code = 2
	// Denied: A right is missing; the detail names the grant and where to add it.
	Denied Code = 3
	// Overloaded: A bound is reached and the call does not wait for room.
	Overloaded Code = 4
	// TooLarge: Larger than the limit; the detail names the limit.
	TooLarge Code = 5
	// Interrupted: Another coroutine interrupted this call.
	Interrupted Code = 6
	// NodeLost: The other node cannot be reached. It may still take effect, at most once.
	NodeLost Code = 7
	// Already: It was done before and can be done once only.
	Already Code = 8
	// Expired: It ended, and what was kept about it is no longer kept.
	Expired Code = 9
	// Invalid: An argument has a value that the call does not take.
	Invalid Code = 10
	// NotFound: No such name, function, file or handle.
	NotFound Code = 11
	// Taken: The name belongs to another.
	Taken Code = 12
	// Cycle: The subscription would close a cycle.
	Cycle Code = 13
	// SecondPath: The subscription would make a second path between two channels.
	SecondPath Code = 14
	// Retry: Another operation was in the way; try again.
	Retry Code = 15
	// Closed: The other side has closed.
	Closed Code = 16
	// Unsupported: This node, or this version, does not have it.
	Unsupported Code = 17
	// SwapFailed: The new instance could not start; the old one continues.
	SwapFailed Code = 18
	// NotHeld: Released by one that does not hold it.
	NotHeld Code = 19
	// Internal: A fault of the node; its log has the cause.
	Internal Code = 20
	// BadModule: The module cannot be used; the detail says why.
	BadModule Code = 21
	// UnknownFunction: The module has no such function, or one that is not a coroutine function.
	UnknownFunction Code = 22
	// NeedModule: The node does not have this module from this tenant: send its bytes.
	NeedModule Code = 23
	// Version: The two sides share no protocol version.
	Version Code = 24
	// Protocol: The peer sent what the protocol does not allow.
	Protocol Code = 25
	// ShuttingDown: The node is stopping and takes no new work.
	ShuttingDown Code = 26
	// NoSpace: The node's disk is full or the tenant's share of it is used up.
	NoSpace Code = 27
	// Cancelled: The client cancelled it.
	Cancelled Code = 28
)

var codeNames = [...]string{
	Timeout:         "timeout",
	Gone:            "gone",
	Denied:          "denied",
	Overloaded:      "overloaded",
	TooLarge:        "too-large",
	Interrupted:     "interrupted",
	NodeLost:        "node-lost",
	Already:         "already",
	Expired:         "expired",
	Invalid:         "invalid",
	NotFound:        "not-found",
	Taken:           "taken",
	Cycle:           "cycle",
	SecondPath:      "second-path",
	Retry:           "retry",
	Closed:          "closed",
	Unsupported:     "unsupported",
	SwapFailed:      "swap-failed",
	NotHeld:         "not-held",
	Internal:        "internal",
	BadModule:       "bad-module",
	UnknownFunction: "unknown-function",
	NeedModule:      "need-module",
	Version:         "version",
	Protocol:        "protocol",
	ShuttingDown:    "shutting-down",
	NoSpace:         "no-space",
	Cancelled:       "cancelled",
}

// String is the code's stable lower-case name.
func (code Code) String() string {
	if code == 0 || int(code) >= len(codeNames) {
		return fmt.Sprintf("code %d", uint32(code))
	}
	return codeNames[code]
}

// Error is what a call gives when it did not do what was asked: Code for the program, Detail for a person.
type Error struct {
	Code   Code
	Detail string
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Code.String()
	}
	return e.Code.String() + ": " + e.Detail
}
