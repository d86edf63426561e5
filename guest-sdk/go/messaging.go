//go:build wasip1

package corovan

import (
	"errors"
	"math"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Address is where a coroutine, channel or node is reached; a []byte of it may be an argument, part of a result or of a message.
type Address [32]byte

// Forever is a timeout that never ends.
const Forever time.Duration = math.MaxInt64

// Kind is where a message comes from.
type Kind uint32

// The kinds of messages.
const (
	// Ordinary messages are sent by a coroutine or client.
	Ordinary Kind = iota
	// Exit: a monitored coroutine ended; the bytes are its exit record, in CBOR.
	Exit
	// Timer: from a timer that sends to oneself.
	Timer
	// NameLost: the bytes are the name, as text.
	NameLost
	// Swap: asked to go on as another function; the bytes are its name.
	Swap
	// Peers: peers came, changed or went; the bytes are a CBOR array of them.
	Peers
	// Called: a coroutine, the sender, was made of one's service; the bytes are its name, as text.
	Called
)

// Message is what Receive gives.
type Message struct {
	Kind   Kind
	Tag    uint64
	Sender Address
	Bytes  []byte
}

// SpawnOptions of Spawn; the zero value is the default.
type SpawnOptions struct {
	// Daemon: it does not keep its computation open.
	Daemon bool
	// Monitor: one message of kind Exit comes when it ends.
	Monitor bool
	// Link: the abnormal end of either terminates the other.
	Link bool
	// Deadline is its wall time; 0: what is left of ours.
	Deadline time.Duration
	// Memory in bytes; 0: as the module says.
	Memory uint64
}

// Spawn makes a coroutine of a function of this module. Errors: denied, overloaded, unknown-function, too-large, shutting-down;
// invalid where an argument has no CBOR form.
func Spawn(function string, options SpawnOptions, args ...any) (Address, error) {
	if args == nil {
		args = []any{}
	}
	item, err := encodeCBOR(nil, args)
	if err != nil {
		return Address{}, &Error{Code: Invalid, Detail: err.Error()}
	}
	raw := spawnOptions{size: uint32(unsafe.Sizeof(spawnOptions{})), deadline: uint64(max(options.Deadline, 0)), memory: options.Memory}
	for bit, isSet := range []bool{options.Daemon, options.Monitor, options.Link} {
		if isSet {
			raw.flags |= 1 << bit
		}
	}
	var address Address
	result := importSpawn(unsafe.Pointer(unsafe.StringData(function)), uint32(len(function)),
		unsafe.Pointer(unsafe.SliceData(item)), uint32(len(item)), unsafe.Pointer(&raw), unsafe.Pointer(&address))
	return address, check(result)
}

// Send puts a message into a mailbox. While that has no room the whole coroutine waits, all goroutines with it; with a timeout
// of 0 it does not wait. Errors: gone, denied, overloaded, too-large, timeout, node-lost, interrupted.
func Send(to Address, tag uint64, bytes []byte, timeout time.Duration) error {
	return check(importSend(unsafe.Pointer(&to), tag, unsafe.Pointer(unsafe.SliceData(bytes)), uint32(len(bytes)), nanoseconds(timeout)))
}

// Receive takes the oldest message. This goroutine alone waits: others run, and their timers. Errors: timeout, interrupted,
// overloaded.
//
// There is no filter, since goroutines are the better one: receive in a single goroutine and hand messages on by channels.
func Receive(timeout time.Duration) (Message, error) {
	due := time.Now().Add(timeout)
	if message, err, done := receiveNow(); done || timeout <= 0 {
		return message, err
	}
	if err := mailbox.enter(timeout); err != nil {
		return Message{}, err
	}
	defer mailbox.leave()
	return mailbox.wait(due, timeout)
}

// mailbox is the descriptor that Go's event loop waits for.
var mailbox descriptor

type descriptor struct {
	open  sync.Once
	raw   syscall.RawConn
	error error
	// turn is held by the one goroutine that waits: the descriptor has a single deadline.
	turn chan struct{}
	file *os.File
}

func (d *descriptor) enter(timeout time.Duration) error {
	d.open.Do(func() {
		d.turn = make(chan struct{}, 1)
		// The node says that it never blocks, so os.NewFile gives it to the event loop.
		d.file = os.NewFile(uintptr(importMailboxFd()), "mailbox")
		d.raw, d.error = d.file.SyscallConn()
	})
	if d.error != nil {
		return &Error{Code: Internal, Detail: d.error.Error()}
	}
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-late.C:
		return errNoMessage
	}
}

func (d *descriptor) leave() { <-d.turn }

func (d *descriptor) wait(due time.Time, timeout time.Duration) (message Message, err error) {
	if timeout == Forever {
		due = time.Time{}
	}
	if err := d.file.SetReadDeadline(due); err != nil {
		return Message{}, &Error{Code: Internal, Detail: err.Error()}
	}
	waited := d.raw.Read(func(uintptr) (done bool) {
		message, err, done = receiveNow()
		return done
	})
	switch {
	case errors.Is(waited, os.ErrDeadlineExceeded):
		return Message{}, errNoMessage
	case waited != nil:
		return Message{}, &Error{Code: Internal, Detail: waited.Error()}
	}
	return message, err
}

var errNoMessage = &Error{Code: Timeout, Detail: "no message came in time"}

// receiveNow takes a message that is there; done is false when there is none. Bytes that do not fit wait under a token.
func receiveNow() (message Message, err error, done bool) {
	var head messageHead
	var small [512]byte
	result := importReceive(0, nil, unsafe.Pointer(&head), unsafe.Pointer(&small), uint32(len(small)))
	if result < 0 {
		err := check(result)
		return Message{}, err, Code(-int64(result)) != Timeout
	}
	bytes := make([]byte, head.size)
	if head.token != 0 {
		err = check(importTake(head.token, unsafe.Pointer(unsafe.SliceData(bytes))))
	} else {
		copy(bytes, small[:])
	}
	return Message{Kind: Kind(head.kind), Tag: head.tag, Sender: head.sender, Bytes: bytes}, err, true
}

// nanoseconds is a timeout as the host reads it.
func nanoseconds(timeout time.Duration) uint64 {
	if timeout == Forever {
		return math.MaxUint64
	}
	return uint64(max(timeout, 0))
}

// messageHead is corovan_message of guest-sdk/abi/corovan.h.
type messageHead struct {
	size   uint32
	kind   uint32
	tag    uint64
	token  uint64
	reply  uint64
	sender Address
}

// spawnOptions is corovan_spawn_options, in which pointers have 32 bits.
type spawnOptions struct {
	size, flags, module, where, whereLength, rightsLength, rights, reserved uint32
	timeout, deadline, memory                                               uint64
}

//go:wasmimport corovan spawn
func importSpawn(function unsafe.Pointer, functionLength uint32, args unsafe.Pointer, argsLength uint32, options, out unsafe.Pointer) int32

//go:wasmimport corovan send
func importSend(to unsafe.Pointer, tag uint64, bytes unsafe.Pointer, length uint32, timeout uint64) int32

//go:wasmimport corovan receive
func importReceive(timeout uint64, filter, message, buf unsafe.Pointer, capacity uint32) int32

//go:wasmimport corovan take
func importTake(token uint64, buf unsafe.Pointer) int32

//go:wasmimport corovan mailbox_fd
func importMailboxFd() int32
