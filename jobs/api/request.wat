;; request: sends a message and waits for the reply to it.
(module
;;! prelude

(data (i32.const 512) "some  bytes")
(data (i32.const 530) "helper_drops")
(data (i32.const 550) "helper_ends_unread")

(func $ask (param $who i32) (param $timeout i64) (result i32)
    (call $request (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11) (local.get $timeout)
        (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)))

;; The reply comes from whom it was asked of.
(func (export "normal") (local $who i32)
    (local.set $who (call $answerer))
    (call $is (call $ask (local.get $who) (global.get $FOREVER)) (i32.const 11))
    (call $must (call $same (global.get $BUF) (i32.const 512) (i32.const 11)))
    (call $is (i32.load (global.get $MESSAGE)) (i32.const 11))
    (call $is64 (i64.load offset=16 (global.get $MESSAGE)) (i64.const 0))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $who) (i32.const 32)))
    ;; As often as one likes; and other messages stay where they are.
    (call $say (call $me) (i64.const 7))
    (call $is (call $ask (local.get $who) (global.get $SECOND)) (i32.const 11))
    (call $ok (call $hear (i64.const 7))))

(func (export "normal_under_a_token")
    (call $is (call $request (call $answerer) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)
        (global.get $MESSAGE) (global.get $BUF) (i32.const 10)) (i32.const 11))
    (call $ok (call $take (i64.load offset=16 (global.get $MESSAGE)) (global.get $BUF)))
    (call $must (call $same (global.get $BUF) (i32.const 512) (i32.const 11))))

;; It ended before; it ends without having read it.
(func (export "error_gone")
    (call $refused (call $ask (call $ended) (global.get $FOREVER)) (global.get $GONE))
    (call $refused (call $ask (call $forged) (global.get $FOREVER)) (global.get $GONE))
    (call $refused (call $ask (call $child (i32.const 550) (i32.const 18)) (global.get $FOREVER)) (global.get $GONE)))
(func (export "helper_ends_unread") (call $ok (call $sleep (global.get $SECOND))))

;; It was read, and who read it ends.
(func (export "error_closed")
    (call $refused (call $ask (call $child (i32.const 530) (i32.const 12)) (global.get $FOREVER)) (global.get $CLOSED)))
(func (export "helper_drops")
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $ok (call $sleep (global.get $SECOND))))

;; The same where it ends badly.
(func (export "error_closed_by_a_trap")
    (call $refused (call $ask (call $child (i32.const 570) (i32.const 21)) (global.get $FOREVER)) (global.get $CLOSED)))
(data (i32.const 570) "helper_traps_after_it")
(func (export "helper_traps_after_it")
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    unreachable)

;;! needs other-tenant
(func (export "error_denied") (call $refused (call $ask (call $arg (i32.const 0)) (global.get $FOREVER)) (global.get $DENIED)))

;; No room there; no token here: then it was not even sent.
(func (export "error_overloaded") (local $who i32)
    (local.set $who (call $idler))
    (call $fill (local.get $who))
    (call $refused (call $ask (local.get $who) (i64.const 0)) (global.get $OVERLOADED)))

(func (export "error_overloaded_tokens") (local $who i32)
    (call $tokens)
    (local.set $who (call $child (i32.const 600) (i32.const 14)))
    (call $refused (call $request (local.get $who) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $SECOND)
        (global.get $MESSAGE) (global.get $BUF) (i32.const 10)) (global.get $OVERLOADED))
    (call $ended_as (local.get $who) (i32.const 1)))
(data (i32.const 600) "helper_unasked")
(func (export "helper_unasked")
    (call $is (call $receive (global.get $SECOND) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

(func (export "error_too_large")
    (call $refused (call $request (call $idler) (i64.const 2) (i32.const 0) (global.get $LARGE) (global.get $FOREVER)
        (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TOO_LARGE)))

;; No answer in time, and no room in time.
(func (export "error_timeout") (local $who i32) (local $before i64)
    (local.set $who (call $idler))
    (local.set $before (call $monotonic))
    (call $refused (call $ask (local.get $who) (global.get $SECOND)) (global.get $TIMEOUT))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))
    (call $refused (call $ask (local.get $who) (i64.const 0)) (global.get $TIMEOUT))
    (call $fill (local.get $who))
    (call $refused (call $ask (local.get $who) (global.get $SECOND)) (global.get $TIMEOUT))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (i64.mul (global.get $SECOND) (i64.const 2))))

;; The answer to an earlier request is not taken for that to a later one.
(func (export "error_timeout_and_again") (local $who i32)
    (local.set $who (call $child (i32.const 620) (i32.const 20)))
    (call $refused (call $ask (local.get $who) (global.get $SECOND)) (global.get $TIMEOUT))
    (call $is (call $request (local.get $who) (i64.const 3) (i32.const 512) (i32.const 4) (i64.mul (global.get $SECOND) (i64.const 9))
        (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 4)))
(data (i32.const 620) "helper_answers_later")
(func (export "helper_answers_later")
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $ok (call $sleep (i64.mul (global.get $SECOND) (i64.const 2))))
    (call $refused (call $reply (i64.load offset=24 (global.get $MESSAGE)) (global.get $BUF) (i32.const 11)) (global.get $GONE))
    (call $is (call $hear (i64.const 3)) (i32.const 4))
    (call $ok (call $reply (i64.load offset=24 (global.get $MESSAGE)) (global.get $BUF) (i32.const 4))))

;;! needs other-node
(func (export "error_node_lost") (call $refused (call $ask (call $arg (i32.const 0)) (global.get $FOREVER)) (global.get $NODE_LOST)))

(func (export "error_interrupted")
    (call $interrupter)
    (call $refused (call $ask (call $idler) (global.get $FOREVER)) (global.get $INTERRUPTED)))

(func (export "trap_pointer")
    (drop (call $request (call $idler) (i64.const 2) (global.get $EDGE) (i32.const 2) (i64.const 0)
        (global.get $MESSAGE) (global.get $BUF) (global.get $CAP))))
(func (export "trap_pointer_of_the_address") (drop (call $ask (global.get $EDGE) (i64.const 0))))
(func (export "trap_pointer_of_the_message")
    (drop (call $request (call $answerer) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)
        (global.get $EDGE) (global.get $BUF) (global.get $CAP))))
(func (export "trap_pointer_of_the_buffer")
    (drop (call $request (call $answerer) (i64.const 2) (i32.const 512) (i32.const 11) (global.get $FOREVER)
        (global.get $MESSAGE) (global.get $NOWHERE) (global.get $CAP))))
)
