//go:build wasip1

package corovan

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"time"
	"unsafe"
)

// Run is the body of a coroutine function: it reads the arguments, calls body, and records what it returns. An error of
// Args.Scan ends the coroutine as failed with kind "bad-argument", any other error with kind "error", a panic with kind "panic".
func Run(body func(args Args) (any, error)) {
	defer func() {
		if problem := recover(); problem != nil {
			Fail("panic", fmt.Sprint(problem)+place())
		}
	}()
	args, err := Arguments()
	if err != nil {
		Fail("bad-argument", err.Error())
	}
	value, err := body(args)
	var bad badArgument
	switch {
	case errors.As(err, &bad):
		Fail("bad-argument", bad.Error())
	case err != nil:
		Fail("error", err.Error())
	}
	if err := Finish(value); err != nil {
		var problem *Error
		errors.As(err, &problem)
		Fail(problem.Code.String(), problem.Detail)
	}
}

// place is where the panic that is being recovered happened.
func place() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	for panicked := false; ; {
		frame, more := frames.Next()
		switch frame.Function {
		case "runtime.gopanic", "runtime.panicmem", "runtime.goPanicIndex", "runtime.sigpanic":
			panicked = true
		default:
			if panicked {
				return fmt.Sprintf(", at %s:%d", frame.File, frame.Line)
			}
		}
		if !more {
			return ""
		}
	}
}

// Arguments are what the coroutine was given. Run has read them already.
func Arguments() (Args, error) {
	item, err := decodeCBOR(read(importArgs))
	if err != nil {
		return nil, err
	}
	args, isList := item.([]any)
	if !isList {
		return nil, errors.New("the arguments are not a CBOR array")
	}
	return args, nil
}

// Entry is the name of the function that this coroutine was made to run.
func Entry() string { return string(read(importEntry)) }

// Self is this coroutine's address.
func Self() (address Address) {
	importSelf(unsafe.Pointer(&address))
	return address
}

// Finish records the result and goes on; the coroutine ends when its function returns. Errors: already, too-large; invalid where
// the value has no CBOR form.
func Finish(value any) error {
	item, err := encodeCBOR(nil, value)
	if err != nil {
		return &Error{Code: Invalid, Detail: err.Error()}
	}
	return check(importFinish(unsafe.Pointer(unsafe.SliceData(item)), uint32(len(item))))
}

// Fail ends the coroutine as failed and does not return. kind is a short stable word, text is for a person.
func Fail(kind, text string) {
	importFail(unsafe.Pointer(unsafe.StringData(kind)), uint32(len(kind)), unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
	os.Exit(1) // Not reached: the node does not return from the call.
}

// Yield lets other coroutines run. Errors: interrupted.
func Yield() error { return check(importYield()) }

// Sleep suspends the whole coroutine, all goroutines with it. time.Sleep suspends one goroutine, and the coroutine when no other
// can run; use that where there are several. Errors: interrupted.
func Sleep(duration time.Duration) error { return check(importSleep(uint64(max(duration, 0)))) }

// Deadline is what is left of the coroutine's wall time; false where there is no end.
func Deadline() (time.Duration, bool) {
	left := importDeadline()
	return time.Duration(left), left != math.MaxInt64
}

// Monotonic is the time since this coroutine's node started.
func Monotonic() time.Duration { return time.Duration(importMonotonic()) }

// Level is how much a log line matters.
type Level uint32

// The levels of Log.
const (
	LevelError Level = 1 + iota
	LevelWarn
	LevelInfo
	LevelDebug
	LevelTrace
)

// Log writes one line beside standard output. A line that cannot be taken is counted by the node.
func Log(level Level, text string) {
	importLog(uint32(level), unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

// Progress tells how far the work has come; total is 0 where it is not known.
func Progress(done, total uint64, text string) {
	importProgress(done, total, unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

func check(result int32) error {
	if result >= 0 {
		return nil
	}
	return &Error{Code: Code(-int64(result)), Detail: string(read(importLastError))}
}

// read asks for the size first, and again with room for it.
func read(call func(buf unsafe.Pointer, capacity uint32) int32) []byte {
	size := call(nil, 0)
	if size <= 0 {
		return nil
	}
	buffer := make([]byte, size)
	call(unsafe.Pointer(unsafe.SliceData(buffer)), uint32(len(buffer)))
	return buffer
}

//go:wasmimport corovan self
func importSelf(out unsafe.Pointer) int32

//go:wasmimport corovan entry
func importEntry(buf unsafe.Pointer, capacity uint32) int32

//go:wasmimport corovan args
func importArgs(buf unsafe.Pointer, capacity uint32) int32

//go:wasmimport corovan finish
func importFinish(item unsafe.Pointer, length uint32) int32

//go:wasmimport corovan fail
func importFail(kind unsafe.Pointer, kindLength uint32, text unsafe.Pointer, textLength uint32)

//go:wasmimport corovan yield
func importYield() int32

//go:wasmimport corovan last_error
func importLastError(buf unsafe.Pointer, capacity uint32) int32

//go:wasmimport corovan sleep
func importSleep(duration uint64) int32

//go:wasmimport corovan monotonic
func importMonotonic() int64

//go:wasmimport corovan deadline
func importDeadline() int64

//go:wasmimport corovan log
func importLog(level uint32, text unsafe.Pointer, length uint32) int32

//go:wasmimport corovan progress
func importProgress(done, total uint64, text unsafe.Pointer, length uint32) int32
