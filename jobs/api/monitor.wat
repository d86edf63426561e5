;; monitor: one exit message comes when another ends.
(module
;;! prelude

;; Asking twice gives one message.
(func (export "normal") (local $who i32)
    (local.set $who (call $idler))
    (call $ok (call $monitor (local.get $who)))
    (call $ok (call $monitor (local.get $who)))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $exit_of (local.get $who) (i32.const 8))
    (call $nothing))

;; At once where it has ended.
(func (export "normal_after_the_end") (local $who i32)
    (local.set $who (call $ended))
    (call $ok (call $monitor (local.get $who)))
    (call $exit_of (local.get $who) (i32.const 1))
    (call $nothing))

;; Also for one of which nothing is known.
(func (export "normal_unknown") (local $who i32)
    (local.set $who (call $forged))
    (call $ok (call $monitor (local.get $who)))
    (call $exit_of (local.get $who) (i32.const 3))
    (call $nothing))

;; And for one that cannot be reached.
;;! needs other-node
(func (export "normal_node_lost")
    (call $ok (call $monitor (call $arg (i32.const 0))))
    (call $exit_of (call $arg (i32.const 0)) (i32.const 9))
    (call $nothing))

;; It comes although the mailbox is full.
(func (export "normal_full_mailbox") (local $who i32)
    (local.set $who (call $child (i32.const 80) (i32.const 12)))
    (call $ok (call $monitor (local.get $who)))
    (call $fill (call $me))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $must (i32.gt_s (call $receive (i64.const 0) (call $by_kind (i32.const 1)) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP))
        (i32.const 0)))
    (call $outcome_is (global.get $BUF) (i32.load (global.get $MESSAGE)) (i32.const 4)))

;; A value over 64 KiB is left to join; the message tells its size.
(func (export "normal_large_result") (local $who i32)
    (local.set $who (call $child (i32.const 512) (i32.const 16)))
    (call $ok (call $monitor (local.get $who)))
    (call $exit_of (local.get $who) (i32.const 1))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $MESSAGE)) (i32.const 530) (i32.const 14)))
    (call $must (i32.gt_s (call $join (local.get $who) (i64.const 0) (global.get $PART) (i32.const 65536) (i32.const 600000)) (i32.const 524293))))
(data (i32.const 512) "helper_gives_all")
(data (i32.const 530) "\68left_out\1a\00\08\00\05")
(func (export "helper_gives_all")
    (i32.store8 (i32.const 65536) (i32.const 0x5a))
    (i32.store8 (i32.const 65538) (i32.const 0x08))
    (call $ok (call $finish (i32.const 65536) (i32.const 524293))))

;;! needs other-tenant
(func (export "error_denied") (call $refused (call $monitor (call $arg (i32.const 0))) (global.get $DENIED)))

;; So many system messages are promised that no more can be.
(func (export "error_overloaded")
    (call $timers)
    (call $refused (call $monitor (call $idler)) (global.get $OVERLOADED)))

(func (export "error_invalid") (call $refused (call $monitor (call $me)) (global.get $INVALID)))

(func (export "trap_pointer") (drop (call $monitor (global.get $EDGE))))

;; The next message is the exit of this one.
(func $exit_of (param $who i32) (param $outcome i32)
    (call $must (i32.gt_s (call $hear (i64.const 0)) (i32.const 0)))
    (call $is (i32.load offset=4 (global.get $MESSAGE)) (i32.const 1))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $who) (i32.const 32)))
    (call $outcome_is (global.get $BUF) (i32.load (global.get $MESSAGE)) (local.get $outcome)))

(func $nothing
    (call $is (call $receive (global.get $SECOND) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))
)
