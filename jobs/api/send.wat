;; send: puts a message into a mailbox, and waits where there is no room.
(module
;;! prelude

(data (i32.const 512) "some  bytes")
(data (i32.const 530) "helper_repeats")

;; What was sent arrives as it was, from us.
(func (export "normal")
    (call $ok (call $send (call $child (i32.const 530) (i32.const 14)) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $SECOND)))
    (call $is (call $hear (i64.const 3)) (i32.const 11))
    (call $must (call $same (global.get $BUF) (i32.const 512) (i32.const 11))))
(func (export "helper_repeats")
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $ok (i32.load offset=4 (global.get $MESSAGE)))
    (call $is64 (i64.load offset=16 (global.get $MESSAGE)) (i64.const 0))
    (call $is64 (i64.load offset=24 (global.get $MESSAGE)) (i64.const 0))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (call $arg (i32.const 0)) (i32.const 32)))
    (call $ok (call $send (call $arg (i32.const 0)) (i64.const 3) (global.get $BUF) (i32.const 11) (i64.const 0))))

;; To oneself, in order, small and of the largest size.
(func (export "normal_to_oneself")
    (call $ok (call $send (call $me) (i64.const -1) (i32.const 0) (i32.const 0) (i64.const 0)))
    (i32.store8 (i32.const 1114111) (i32.const 0x77))
    (call $ok (call $send (call $me) (i64.const 2) (i32.const 65536) (i32.const 1048576) (i64.const 0)))
    (call $ok (call $send (call $me) (i64.const 3) (i32.const 512) (i32.const 11) (i64.const 0)))
    (call $ok (call $hear (i64.const -1)))
    (call $is (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (i32.const 1200000) (i32.const 1048576)) (i32.const 1048576))
    (call $is (i32.load8_u (i32.const 2248575)) (i32.const 0x77))
    (call $is (call $hear (i64.const 3)) (i32.const 11)))

;; A sender that waits is let go when the receiver reads.
(func (export "normal_waits_for_room") (local $who i32) (local $before i64)
    (local.set $who (call $child (i32.const 128) (i32.const 27)))
    (local.set $before (call $monotonic))
    (call $fill (local.get $who))
    (call $ok (call $send (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))
    ;; One message was read, and one came in.
    (call $refused (call $send (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11) (i64.const 0)) (global.get $OVERLOADED)))

(func (export "error_gone")
    (call $refused (call $send (call $ended) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)) (global.get $GONE))
    (call $refused (call $send (call $forged) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)) (global.get $GONE)))

;; An address of this node before it started anew.
;;! needs earlier-node
(func (export "error_gone_stale")
    (call $refused (call $send (call $arg (i32.const 0)) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)) (global.get $GONE)))

;; Also one that was reached before.
(func (export "error_gone_known") (local $who i32)
    (local.set $who (call $idler))
    (call $ok (call $send (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11) (i64.const 0)))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $refused (call $send (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)) (global.get $GONE))
    (call $refused (call $send (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)) (global.get $GONE)))

;; And a sender that waits is let go when the receiver ends.
(func (export "error_gone_while_waiting") (local $who i32)
    (local.set $who (call $child (i32.const 545) (i32.const 19)))
    (call $fill (local.get $who))
    (call $refused (call $send (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)) (global.get $GONE)))
(data (i32.const 545) "helper_sleeps_a_bit")
(func (export "helper_sleeps_a_bit") (call $ok (call $sleep (global.get $SECOND))))

;;! needs other-tenant
(func (export "error_denied")
    (call $refused (call $send (call $arg (i32.const 0)) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)) (global.get $DENIED)))

(func (export "error_overloaded") (local $who i32)
    (local.set $who (call $idler))
    (call $fill (local.get $who))
    (call $refused (call $send (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11) (i64.const 0)) (global.get $OVERLOADED)))

;; Oneself at once: who would read?
(func (export "error_overloaded_to_oneself") (local $before i64)
    (local.set $before (call $monotonic))
    (call $fill (call $me))
    (call $refused (call $send (call $me) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)) (global.get $OVERLOADED))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (i64.const 0))
    (call $ok (call $hear (i64.const 9)))
    (call $ok (call $send (call $me) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER))))

;; 16 MiB are as full as 10,000 messages.
(func (export "error_overloaded_by_bytes") (local $who i32) (local $i i32)
    (local.set $who (call $idler))
    (local.set $i (i32.const 16))
    (loop $more
        (call $ok (call $send (local.get $who) (i64.const 2) (i32.const 65536) (i32.const 1048576) (i64.const 0)))
        (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
    (call $refused (call $send (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11) (i64.const 0)) (global.get $OVERLOADED)))

;; The receiving tenant keeps no more than its quota, whatever the mailbox has room for.
;;! needs little-held
(func (export "error_overloaded_by_the_quota")
    (call $refused (call $send (call $idler) (i64.const 2) (i32.const 65536) (i32.const 1048576) (global.get $FOREVER)) (global.get $OVERLOADED)))

;; Told before the pointer is looked at.
(func (export "error_too_large")
    (call $refused (call $send (call $me) (i64.const 2) (i32.const 0) (global.get $LARGE) (i64.const 0)) (global.get $TOO_LARGE))
    (call $refused (call $send (call $me) (i64.const 2) (i32.const 0) (i32.const -1) (i64.const 0)) (global.get $TOO_LARGE)))

;; Not sent: not even later.
(func (export "error_timeout") (local $who i32) (local $before i64)
    (local.set $who (call $idler))
    (call $fill (local.get $who))
    (local.set $before (call $monotonic))
    (call $refused (call $send (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $SECOND)) (global.get $TIMEOUT))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND)))

;;! needs other-node
(func (export "error_node_lost")
    (call $refused (call $send (call $arg (i32.const 0)) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)) (global.get $NODE_LOST)))

(func (export "error_interrupted") (local $who i32)
    (local.set $who (call $idler))
    (call $fill (local.get $who))
    (call $interrupter)
    (call $refused (call $send (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)) (global.get $INTERRUPTED)))

(func (export "trap_pointer") (drop (call $send (call $me) (i64.const 2) (global.get $EDGE) (i32.const 2) (i64.const 0))))
(func (export "trap_pointer_of_the_address") (drop (call $send (global.get $EDGE) (i64.const 2) (i32.const 512) (i32.const 11) (i64.const 0))))
)
