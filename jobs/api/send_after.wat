;; send_after: sends a message later.
(module
;;! prelude

(data (i32.const 512) "some  bytes")
(data (i32.const 530) "helper_repeats")

;; To ourselves: of its own kind, at its time.
(func (export "normal") (local $before i64)
    (local.set $before (call $monotonic))
    (call $must (i64.gt_s (call $send_after (i64.mul (global.get $SECOND) (i64.const 2)) (call $me) (i64.const 2) (i32.const 512) (i32.const 11)) (i64.const 0)))
    (call $must (i64.gt_s (call $send_after (global.get $SECOND) (call $me) (i64.const 1) (i32.const 0) (i32.const 0)) (i64.const 0)))
    (call $ok (call $hear (i64.const 1)))
    (call $is (i32.load offset=4 (global.get $MESSAGE)) (i32.const 2))
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $must (call $same (global.get $BUF) (i32.const 512) (i32.const 11)))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (call $me) (i32.const 32)))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (i64.mul (global.get $SECOND) (i64.const 2))))

;; To another it is an ordinary message from us.
(func (export "normal_to_another") (local $who i32)
    (local.set $who (call $child (i32.const 530) (i32.const 14)))
    (call $must (i64.gt_s (call $send_after (global.get $SECOND) (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11)) (i64.const 0)))
    (call $is (call $hear (i64.const 0)) (i32.const 11)))
(func (export "helper_repeats")
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $ok (i32.load offset=4 (global.get $MESSAGE)))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (call $arg (i32.const 0)) (i32.const 32)))
    (call $ok (call $send (call $arg (i32.const 0)) (i64.const 0) (global.get $BUF) (i32.const 11) (i64.const 0))))

;; Our own has its room, also in a full mailbox.
(func (export "normal_full_mailbox")
    (call $fill (call $me))
    (call $must (i64.gt_s (call $send_after (i64.const 0) (call $me) (i64.const 2) (i32.const 0) (i32.const 0)) (i64.const 0)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $receive (i64.const 0) (call $by_kind (i32.const 2)) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP))))

;; Another's is dropped where there is none, and nobody waits; also for one that has ended.
(func (export "normal_dropped") (local $who i32)
    (local.set $who (call $idler))
    (call $fill (local.get $who))
    (call $must (i64.gt_s (call $send_after (global.get $SECOND) (local.get $who) (i64.const 2) (i32.const 0) (i32.const 0)) (i64.const 0)))
    (call $must (i64.gt_s (call $send_after (global.get $SECOND) (call $ended) (i64.const 2) (i32.const 0) (i32.const 0)) (i64.const 0)))
    (call $ok (call $sleep (i64.mul (global.get $SECOND) (i64.const 2))))
    (call $must (i32.gt_s (call $status (call $me) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)) (i32.const 0)))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 550) (i32.const 9))))
(data (i32.const 550) "\67dropped\02")

;; Far beyond what Unix time can say: it never comes, and costs no more than another.
(func (export "normal_never")
    (call $must (i64.gt_s (call $send_after (i64.const 15768000000000000000) (call $me) (i64.const 2) (i32.const 0) (i32.const 0)) (i64.const 0)))
    (call $must (i64.gt_s (call $send_after (global.get $FOREVER) (call $me) (i64.const 2) (i32.const 0) (i32.const 0)) (i64.const 0)))
    (call $is (call $receive (global.get $SECOND) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

;;! needs other-tenant
(func (export "error_denied")
    (call $refused64 (call $send_after (i64.const 0) (call $arg (i32.const 0)) (i64.const 2) (i32.const 0) (i32.const 0)) (global.get $DENIED)))

;; 100,000 at a time; one that is taken back makes room for one.
(func (export "error_overloaded")
    (call $timers)
    (call $refused64 (call $send_after (global.get $SECOND) (call $me) (i64.const 2) (i32.const 0) (i32.const 0)) (global.get $OVERLOADED))
    (call $ok (call $cancel_timer (i64.const 7)))
    (call $must (i64.gt_s (call $send_after (global.get $SECOND) (call $me) (i64.const 2) (i32.const 0) (i32.const 0)) (i64.const 0)))
    (call $refused64 (call $send_after (global.get $SECOND) (call $me) (i64.const 2) (i32.const 0) (i32.const 0)) (global.get $OVERLOADED)))

;; Also of those to others.
(func (export "error_overloaded_to_another") (local $who i32) (local $i i32)
    (local.set $who (call $idler))
    (loop $more
        (call $must (i64.gt_s (call $send_after (i64.const 10000000000000) (local.get $who) (i64.const 0) (i32.const 0) (i32.const 0)) (i64.const 0)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $i) (i32.const 100000))))
    (call $refused64 (call $send_after (global.get $SECOND) (local.get $who) (i64.const 0) (i32.const 0) (i32.const 0)) (global.get $OVERLOADED)))

;; What waits to be sent is the sender's.
;;! needs little-held
(func (export "error_overloaded_by_the_quota")
    (call $refused64 (call $send_after (global.get $SECOND) (call $me) (i64.const 2) (i32.const 65536) (i32.const 1048576)) (global.get $OVERLOADED))
    (call $must (i64.gt_s (call $send_after (global.get $SECOND) (call $me) (i64.const 2) (i32.const 0) (i32.const 0)) (i64.const 0))))

(func (export "error_too_large")
    (call $refused64 (call $send_after (i64.const 0) (call $me) (i64.const 2) (i32.const 0) (global.get $LARGE)) (global.get $TOO_LARGE)))

;;! needs other-node
(func (export "error_node_lost")
    (call $refused64 (call $send_after (i64.const 0) (call $arg (i32.const 0)) (i64.const 2) (i32.const 0) (i32.const 0)) (global.get $NODE_LOST)))

(func (export "trap_pointer") (drop (call $send_after (i64.const 0) (call $me) (i64.const 2) (global.get $EDGE) (i32.const 2))))
(func (export "trap_pointer_of_the_address") (drop (call $send_after (i64.const 0) (global.get $EDGE) (i64.const 2) (i32.const 0) (i32.const 0))))
)
