;; interrupt: the current or next waiting call of another gives `interrupted`, once.
(module
;;! prelude

(data (i32.const 512) "helper_tells_why")
(data (i32.const 530) "first")
(data (i32.const 540) "second")

(func (export "normal") (local $who i32)
    (local.set $who (call $child (i32.const 512) (i32.const 16)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $interrupt (local.get $who) (i32.const 530) (i32.const 5) (i64.const 0)))
    (call $is (call $hear (i64.const 1)) (i32.const 5))
    (call $must (call $same (global.get $BUF) (i32.const 530) (i32.const 5))))

;; Before it waits: delivered once, and the first reason wins.
;;! needs one-worker
(func (export "normal_pending") (local $who i32)
    (local.set $who (call $child (i32.const 512) (i32.const 16)))
    (call $ok (call $interrupt (local.get $who) (i32.const 530) (i32.const 5) (i64.const 0)))
    (call $ok (call $interrupt (local.get $who) (i32.const 540) (i32.const 6) (i64.const 0)))
    (call $is (call $hear (i64.const 1)) (i32.const 5))
    (call $must (call $same (global.get $BUF) (i32.const 530) (i32.const 5)))
    (call $is (call $receive (global.get $SECOND) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))
(func (export "helper_tells_why")
    (loop $more
        (call $is (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $INTERRUPTED))
        (call $ok (call $send (call $arg (i32.const 0)) (i64.const 1) (i32.const 4096)
            (call $last_error (i32.const 4096) (i32.const 4096)) (i64.const 0)))
        (br_if $more (call $same (i32.const 4096) (i32.const 530) (i32.const 5)))))

;; Oneself, without a reason.
(func (export "normal_itself")
    (call $ok (call $interrupt (call $me) (i32.const 0) (i32.const 0) (i64.const 0)))
    (call $is (call $sleep (global.get $SECOND)) (global.get $INTERRUPTED))
    (call $ok (call $last_error (global.get $BUF) (global.get $CAP)))
    (call $ok (call $sleep (global.get $SECOND))))

(func (export "error_gone")
    (call $refused (call $interrupt (call $ended) (i32.const 96) (i32.const 4) (i64.const 0)) (global.get $GONE))
    (call $refused (call $interrupt (call $forged) (i32.const 96) (i32.const 4) (i64.const 0)) (global.get $GONE)))

;;! needs other-tenant
(func (export "error_denied")
    (call $refused (call $interrupt (call $arg (i32.const 0)) (i32.const 96) (i32.const 4) (i64.const 0)) (global.get $DENIED)))

;;! needs other-node
(func (export "error_node_lost")
    (call $refused (call $interrupt (call $arg (i32.const 0)) (i32.const 96) (i32.const 4) (i64.const 0)) (global.get $NODE_LOST)))

;; A reason of 4 KiB is one; a longer is none, and has no effect.
(func (export "error_too_large")
    (memory.fill (i32.const 65536) (i32.const 0x61) (i32.const 4097))
    (call $refused (call $interrupt (call $me) (i32.const 65536) (i32.const 4097) (i64.const 0)) (global.get $TOO_LARGE))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $interrupt (call $me) (i32.const 65536) (i32.const 4096) (i64.const 0)))
    (call $refused (call $sleep (global.get $SECOND)) (global.get $INTERRUPTED)))

(func (export "trap_pointer") (drop (call $interrupt (call $me) (global.get $EDGE) (i32.const 2) (i64.const 0))))
(func (export "trap_pointer_of_the_address") (drop (call $interrupt (global.get $EDGE) (i32.const 96) (i32.const 4) (i64.const 0))))
(func (export "trap_text") (drop (call $interrupt (call $me) (i32.const 160) (i32.const 2) (i64.const 0))))
)
