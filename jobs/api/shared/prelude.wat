;; What every job of jobs/api begins with: it stands where the job says `;;! prelude`, as text. See README.md.
;; Memory: 16..511 and 1024..8191 belong to the prelude, 512..1023 to the job's own names, 8192..16383 to addresses that
;; $room gives out, 16384 and up to the job.

(import "corovan" "self" (func $self (param i32) (result i32)))
(import "corovan" "entry" (func $entry (param i32 i32) (result i32)))
(import "corovan" "args" (func $args (param i32 i32) (result i32)))
(import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
(import "corovan" "fail" (func $fail (param i32 i32 i32 i32)))
(import "corovan" "yield" (func $yield (result i32)))
(import "corovan" "last_error" (func $last_error (param i32 i32) (result i32)))
(import "corovan" "suspend" (func $suspend (param i64 i32 i32 i32) (result i32)))
(import "corovan" "resume" (func $resume (param i32 i32 i32 i64) (result i32)))
(import "corovan" "spawn" (func $spawn (param i32 i32 i32 i32 i32 i32) (result i32)))
(import "corovan" "terminate" (func $terminate (param i32 i64) (result i32)))
(import "corovan" "interrupt" (func $interrupt (param i32 i32 i32 i64) (result i32)))
(import "corovan" "monitor" (func $monitor (param i32) (result i32)))
(import "corovan" "demonitor" (func $demonitor (param i32) (result i32)))
(import "corovan" "join" (func $join (param i32 i64 i32 i32 i32) (result i32)))
(import "corovan" "set_daemon" (func $set_daemon (param i32) (result i32)))
(import "corovan" "status" (func $status (param i32 i64 i32 i32 i32) (result i32)))
(import "corovan" "swap" (func $swap (param i32 i32 i32 i32 i64) (result i32)))
(import "corovan" "swap_point" (func $swap_point (param i32 i32) (result i32)))
(import "corovan" "swap_refuse" (func $swap_refuse (param i32 i32) (result i32)))
(import "corovan" "sleep" (func $sleep (param i64) (result i32)))
(import "corovan" "now" (func $now (result i64)))
(import "corovan" "monotonic" (func $monotonic (result i64)))
(import "corovan" "deadline" (func $deadline (result i64)))
(import "corovan" "wait" (func $wait (param i32 i32 i64) (result i32)))
(import "corovan" "send_after" (func $send_after (param i64 i32 i64 i32 i32) (result i64)))
(import "corovan" "cancel_timer" (func $cancel_timer (param i64) (result i32)))
(import "corovan" "send" (func $send (param i32 i64 i32 i32 i64) (result i32)))
(import "corovan" "deliver" (func $deliver (param i32 i64 i32 i32 i64) (result i32)))
(import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
(import "corovan" "request" (func $request (param i32 i64 i32 i32 i64 i32 i32 i32) (result i32)))
(import "corovan" "reply" (func $reply (param i64 i32 i32) (result i32)))
(import "corovan" "take" (func $take (param i64 i32) (result i32)))
(import "corovan" "drop" (func $drop (param i64) (result i32)))
(import "corovan" "channel_open" (func $channel_open (param i32 i32 i32) (result i32)))
(import "corovan" "channel_subscribe" (func $channel_subscribe (param i32 i32 i32 i32 i64) (result i32)))
(import "corovan" "lock_open" (func $lock_open (param i32 i32 i32 i32) (result i32)))

(memory (export "memory") 40)

(global $TIMEOUT i32 (i32.const -1))
(global $GONE i32 (i32.const -2))
(global $DENIED i32 (i32.const -3))
(global $OVERLOADED i32 (i32.const -4))
(global $TOO_LARGE i32 (i32.const -5))
(global $INTERRUPTED i32 (i32.const -6))
(global $NODE_LOST i32 (i32.const -7))
(global $ALREADY i32 (i32.const -8))
(global $EXPIRED i32 (i32.const -9))
(global $INVALID i32 (i32.const -10))
(global $NOT_FOUND i32 (i32.const -11))
(global $TAKEN i32 (i32.const -12))
(global $CYCLE i32 (i32.const -13))
(global $SECOND_PATH i32 (i32.const -14))
(global $RETRY i32 (i32.const -15))
(global $CLOSED i32 (i32.const -16))
(global $UNSUPPORTED i32 (i32.const -17))
(global $SWAP_FAILED i32 (i32.const -18))
(global $NOT_HELD i32 (i32.const -19))
(global $BAD_MODULE i32 (i32.const -21))
(global $UNKNOWN_FUNCTION i32 (i32.const -22))
(global $NEED_MODULE i32 (i32.const -23))
(global $SHUTTING_DOWN i32 (i32.const -26))

(global $FOREVER i64 (i64.const -1))
(global $SECOND i64 (i64.const 1000000000))
;; No memory is there.
(global $NOWHERE i32 (i32.const 0x7fff0000))
;; The last byte of memory.
(global $EDGE i32 (i32.const 2621439))
;; Over every limit of a message, an argument and a result, and inside of memory only for the first.
(global $LARGE i32 (i32.const 1048577))

(global $ARGS i32 (i32.const 1200))
(global $MESSAGE i32 (i32.const 2048))
(global $PART i32 (i32.const 2176))
(global $FILTER i32 (i32.const 2432))
(global $OPTIONS i32 (i32.const 2560))
(global $DETAIL i32 (i32.const 2700))
;; A name as $name makes it.
(global $NAME_LEN i32 (i32.const 68))
;; 4 KiB for results.
(global $BUF i32 (i32.const 4096))
(global $CAP i32 (i32.const 4096))
(global $room_next (mut i32) (i32.const 8192))

(data (i32.const 16) "helper_interrupts")
(data (i32.const 48) "helper_idles")
(data (i32.const 64) "helper_ends")
(data (i32.const 80) "helper_traps")
(data (i32.const 96) "wake")
(data (i32.const 112) "helper_answers")
(data (i32.const 128) "helper_reads_after_a_second")
;; Not UTF-8.
(data (i32.const 160) "\ff\fe")
;; An empty CBOR array.
(data (i32.const 168) "\80")
;; How an exit record tells its outcome; the number, the last byte, is filled in.
(data (i32.const 176) "\67outcome\00")

;; ---- checks ----

(func $must (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
(func $is (param i32 i32) (if (i32.ne (local.get 0) (local.get 1)) (then unreachable)))
(func $is64 (param i64 i64) (if (i64.ne (local.get 0) (local.get 1)) (then unreachable)))
(func $ok (param i32) (if (local.get 0) (then unreachable)))
;; So much time has passed; on a real clock that is the least.
(func $elapsed (param i64 i64) (if (i64.ne (local.get 0) (local.get 1)) (then unreachable))) ;;! exactly
;; The code that was wanted, with a detail for a person.
(func $refused (param i32 i32)
    (call $is (local.get 0) (local.get 1))
    (call $must (i32.gt_s (call $last_error (global.get $DETAIL) (i32.const 0)) (i32.const 3))))
(func $refused64 (param i64 i32)
    (call $is64 (local.get 0) (i64.extend_i32_s (local.get 1)))
    (call $must (i32.gt_s (call $last_error (global.get $DETAIL) (i32.const 0)) (i32.const 3))))

(func $same (param $a i32) (param $b i32) (param $len i32) (result i32)
    (loop $next
        (if (i32.eqz (local.get $len)) (then (return (i32.const 1))))
        (local.set $len (i32.sub (local.get $len) (i32.const 1)))
        (br_if $next (i32.eq
            (i32.load8_u (i32.add (local.get $a) (local.get $len)))
            (i32.load8_u (i32.add (local.get $b) (local.get $len))))))
    (i32.const 0))

;; Whether the second piece of memory is somewhere in the first.
(func $has (param $in i32) (param $in_len i32) (param $what i32) (param $len i32) (result i32)
    (loop $next
        (if (i32.lt_s (local.get $in_len) (local.get $len)) (then (return (i32.const 0))))
        (if (call $same (local.get $in) (local.get $what) (local.get $len)) (then (return (i32.const 1))))
        (local.set $in (i32.add (local.get $in) (i32.const 1)))
        (local.set $in_len (i32.sub (local.get $in_len) (i32.const 1)))
        (br $next))
    unreachable)

;; ---- addresses ----

;; Where an address can be put, for good.
(func $room (result i32)
    (global.set $room_next (i32.add (global.get $room_next) (i32.const 32)))
    (i32.sub (global.get $room_next) (i32.const 32)))

(func $me (result i32) (local $at i32)
    (local.set $at (call $room))
    (call $ok (call $self (local.get $at)))
    (local.get $at))

;; The address or hash that is argument number $i: each is a byte string of 32.
(func $arg (param $i i32) (result i32)
    (call $must (i32.le_u (call $args (global.get $ARGS) (i32.const 800)) (i32.const 800)))
    (i32.add (i32.add (global.get $ARGS) (i32.const 3)) (i32.mul (local.get $i) (i32.const 34))))

;; Spawn options without anything, to be filled in.
(func $options (param $flags i32) (result i32)
    (memory.fill (global.get $OPTIONS) (i32.const 0) (i32.const 56))
    (i32.store (global.get $OPTIONS) (i32.const 56))
    (i32.store offset=4 (global.get $OPTIONS) (local.get $flags))
    (global.get $OPTIONS))

;; A function of this module with our address as its argument: its address.
(func $child_with (param $name i32) (param $len i32) (param $flags i32) (result i32) (local $out i32)
    (local.set $out (call $room))
    (i32.store (i32.const 1100) (i32.const 0x00205881))
    (call $ok (call $self (i32.const 1103)))
    (call $ok (call $spawn (local.get $name) (local.get $len) (i32.const 1100) (i32.const 35)
        (call $options (local.get $flags)) (local.get $out)))
    (local.get $out))

;; The same as a daemon, so that it ends with the case.
(func $child (param $name i32) (param $len i32) (result i32)
    (call $child_with (local.get $name) (local.get $len) (i32.const 1)))

;; One that waits for nothing, until it is resumed or interrupted.
(func $idler (result i32) (call $child (i32.const 48) (i32.const 12)))
;; One that interrupts us in a second.
(func $interrupter (drop (call $child (i32.const 16) (i32.const 17))))
;; One that gives each request back as its answer.
(func $answerer (result i32) (call $child (i32.const 112) (i32.const 14)))
;; One that has ended, and whose record is kept.
(func $ended (result i32) (local $who i32)
    (local.set $who (call $child (i32.const 64) (i32.const 11)))
    (call $end_of (local.get $who))
    (local.get $who))
;; One that was never there: our own address with another secret.
(func $forged (result i32) (local $at i32)
    (local.set $at (call $me))
    (i64.store offset=24 (local.get $at) (i64.xor (i64.load offset=24 (local.get $at)) (i64.const 1)))
    (local.get $at))

;; Waits for its end; its exit record is then in $BUF.
(func $end_of (param $who i32)
    (call $must (i32.gt_s (call $join (local.get $who) (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))
        (i32.const 0))))

;; It ended with this outcome: 1 finished, 3 failed, 4 trapped, 8 terminated.
(func $ended_as (param $who i32) (param $outcome i32)
    (call $end_of (local.get $who))
    (call $outcome_is (global.get $BUF) (i32.load (global.get $PART)) (local.get $outcome)))

;; This exit record has that outcome.
(func $outcome_is (param $record i32) (param $len i32) (param $outcome i32)
    (i32.store8 (i32.const 184) (local.get $outcome))
    (call $must (call $has (local.get $record) (local.get $len) (i32.const 176) (i32.const 9))))

;; ---- names ----

;; Name number $i of the case that this address is of, which no other case has: its letters stay until the next is made.
(func $name_of (param $who i32) (param $i i32) (result i32) (local $k i32)
    (memory.copy (i32.const 3008) (local.get $who) (i32.const 32))
    (i32.store16 (i32.const 3040) (local.get $i))
    (loop $next
        (i32.store16 (i32.add (i32.const 3072) (i32.shl (local.get $k) (i32.const 1)))
            (i32.add (i32.const 0x6161) (i32.or
                (i32.and (i32.load8_u offset=3008 (local.get $k)) (i32.const 15))
                (i32.shl (i32.shr_u (i32.load8_u offset=3008 (local.get $k)) (i32.const 4)) (i32.const 8)))))
        (local.set $k (i32.add (local.get $k) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $k) (i32.const 34))))
    (i32.const 3072))
(func $name (param $i i32) (result i32)
    (call $ok (call $self (i32.const 3008)))
    (call $name_of (i32.const 3008) (local.get $i)))

;; The address of channel number $i of this case, or of the one that has that address.
(func $channel (param $i i32) (result i32) (call $channel_of (call $me) (local.get $i)))
(func $channel_of (param $who i32) (param $i i32) (result i32) (local $out i32)
    (local.set $out (call $room))
    (call $ok (call $channel_open (call $name_of (local.get $who) (local.get $i)) (global.get $NAME_LEN) (local.get $out)))
    (local.get $out))
;; Another computation's, where a case needs one: the name is the one of `offers` in partner.wat.
(func $channel_of_another (result i32) (local $out i32)
    (local.set $out (call $room))
    (call $ok (call $channel_open (i32.const 192) (i32.const 18) (local.get $out)))
    (local.get $out))
(data (i32.const 192) "offered by another")

;; Subscribes with room for so many unread messages.
(func $listen (param $channel i32) (param $who i32) (param $cap i32) (param $policy i32)
    (call $ok (call $channel_subscribe (local.get $channel) (local.get $who) (local.get $cap) (local.get $policy) (i64.const 0))))

;; A handle of this case's lock of this kind, or of the case's that has that address. A semaphore has a count of 2.
(func $lock (param $kind i32) (result i32) (call $lock_of (call $me) (local.get $kind)))
(func $lock_of (param $who i32) (param $kind i32) (result i32) (local $handle i32)
    (local.set $handle (call $lock_open (local.get $kind) (call $name_of (local.get $who) (local.get $kind)) (global.get $NAME_LEN)
        (i32.shl (i32.eq (local.get $kind) (i32.const 5)) (i32.const 1))))
    (call $must (i32.gt_s (local.get $handle) (i32.const 0)))
    (local.get $handle))

;; ---- messages ----

;; Sends nothing but a tag, without waiting.
(func $say (param $to i32) (param $tag i64)
    (call $ok (call $send (local.get $to) (local.get $tag) (i32.const 0) (i32.const 0) (i64.const 0))))

;; The next message, of which the tag is known: its size. Header in $MESSAGE, bytes in $BUF.
(func $hear (param $tag i64) (result i32) (local $size i32)
    (local.set $size (call $receive (i64.const 100000000000) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)))
    (call $must (i32.ge_s (local.get $size) (i32.const 0)))
    (call $is64 (i64.load offset=8 (global.get $MESSAGE)) (local.get $tag))
    (local.get $size))

;; A filter by tag.
(func $by_tag (param $tag i64) (result i32)
    (memory.fill (global.get $FILTER) (i32.const 0) (i32.const 56))
    (i32.store (global.get $FILTER) (i32.const 56))
    (i32.store offset=4 (global.get $FILTER) (i32.const 1))
    (i64.store offset=8 (global.get $FILTER) (local.get $tag))
    (global.get $FILTER))

;; A filter by kind.
(func $by_kind (param $kind i32) (result i32)
    (drop (call $by_tag (i64.const 0)))
    (i32.store offset=4 (global.get $FILTER) (i32.const 2))
    (i32.store offset=16 (global.get $FILTER) (local.get $kind))
    (global.get $FILTER))

;; Sends empty messages until there is no more room.
(func $fill (param $to i32) (local $code i32)
    (loop $more
        (local.set $code (call $send (local.get $to) (i64.const 9) (i32.const 0) (i32.const 0) (i64.const 0)))
        (br_if $more (i32.eqz (local.get $code))))
    (call $refused (local.get $code) (global.get $OVERLOADED)))

;; Takes as many tokens as there are: 16.
(func $tokens (local $i i32)
    (local.set $i (i32.const 16))
    (loop $more
        (call $ok (call $send (call $me) (i64.const 0) (i32.const 16) (i32.const 8) (i64.const 0)))
        (call $is (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (i32.const 0)) (i32.const 8))
        (call $must (i32.eqz (i64.eqz (i64.load offset=16 (global.get $MESSAGE)))))
        (local.set $i (i32.sub (local.get $i) (i32.const 1)))
        (br_if $more (local.get $i))))

;; Sets as many timers to ourselves as there are: 100,000, none of which ends before the case.
(func $timers (local $i i32) (local $me i32)
    (local.set $me (call $me))
    (local.set $i (i32.const 100000))
    (loop $more
        (call $must (i64.gt_s (call $send_after (i64.const 10000000000000) (local.get $me) (i64.const 0) (i32.const 0) (i32.const 0))
            (i64.const 0)))
        (local.set $i (i32.sub (local.get $i) (i32.const 1)))
        (br_if $more (local.get $i))))

;; ---- partners ----

(func (export "helper_idles")
    (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))

(func (export "helper_ends"))

(func (export "helper_traps") unreachable)

(func (export "helper_interrupts")
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $interrupt (call $arg (i32.const 0)) (i32.const 96) (i32.const 4) (i64.const 0))))

(func (export "helper_answers") (local $size i32)
    (loop $more
        (local.set $size (call $receive (global.get $FOREVER) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)))
        (if (i32.lt_s (local.get $size) (i32.const 0)) (then (return)))
        (drop (call $reply (i64.load offset=24 (global.get $MESSAGE)) (global.get $BUF) (local.get $size)))
        (br $more)))

;; Gives one waiting sender room, late.
(func (export "helper_reads_after_a_second")
    (call $ok (call $sleep (global.get $SECOND)))
    (drop (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)))
    (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))
