// mailbox, in Go: one goroutine receives messages while others sleep. Shows that the mailbox is a descriptor of Go's own event
// loop: Receive suspends one goroutine, time.Sleep another, and the coroutine only when none can run.
package main

import (
	"errors"
	"fmt"
	"time"

	corovan "github.com/corovan/corovan/guest-sdk/go"
)

const (
	tagEcho = iota + 1
	tagEnd
)

// mailbox asks another coroutine for an echo between ticks, so many times, and gives how many came. No tick could be while
// Receive waits, and no echo while a goroutine sleeps for an hour, if either kept the other from running.
//
//go:wasmexport mailbox
func mailbox() {
	corovan.Run(func(args corovan.Args) (any, error) {
		var rounds int
		if err := args.Scan(&rounds); err != nil {
			return nil, err
		}
		echo, err := corovan.Spawn("echoes", corovan.SpawnOptions{Monitor: true})
		if err != nil {
			return nil, err
		}
		messages, ended := make(chan corovan.Message), make(chan error, 1)
		go func() { ended <- receive(messages) }()
		go time.Sleep(time.Hour)
		for round := 1; round <= rounds; round++ {
			for tick := 1; tick <= 2; tick++ {
				time.Sleep(time.Millisecond)
				fmt.Println("round", round, "tick", tick)
			}
			// More than what a first look has room for.
			if err := corovan.Send(echo, tagEcho, make([]byte, 1000*round), 0); err != nil {
				return nil, err
			}
			message := <-messages
			fmt.Println("round", round, "echo of", len(message.Bytes), "bytes")
		}
		if err := corovan.Send(echo, tagEnd, nil, 0); err != nil {
			return nil, err
		}
		if err := <-ended; err != nil {
			return nil, err
		}
		return rounds, timesOut()
	})
}

// receive hands messages on until the coroutine that sends them has ended.
func receive(messages chan<- corovan.Message) error {
	for {
		message, err := corovan.Receive(corovan.Forever)
		if err != nil {
			return err
		}
		if message.Kind == corovan.Exit {
			fmt.Println("it has ended")
			return nil
		}
		messages <- message
	}
}

// timesOut has two goroutines wait for a message that never comes, one of them for its turn.
func timesOut() error {
	results := make(chan error)
	for range 2 {
		go func() {
			_, err := corovan.Receive(time.Millisecond)
			results <- err
		}()
	}
	for range 2 {
		var problem *corovan.Error
		if err := <-results; !errors.As(err, &problem) || problem.Code != corovan.Timeout {
			return fmt.Errorf("expected a timeout, got %v", err)
		}
	}
	return nil
}

// echoes sends each message back to where it came from. Interrupted, it has last words.
//
//go:wasmexport echoes
func echoes() {
	corovan.Run(func(corovan.Args) (any, error) {
		corovan.Log(corovan.LevelDebug, "waits for messages")
		for {
			message, err := corovan.Receive(corovan.Forever)
			if err != nil {
				fmt.Println("echoes no more:", err)
			}
			if err != nil || message.Tag == tagEnd {
				return nil, err
			}
			if err := corovan.Send(message.Sender, message.Tag, message.Bytes, corovan.Forever); err != nil {
				return nil, err
			}
		}
	})
}

func main() {}
