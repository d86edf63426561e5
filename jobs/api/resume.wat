;; resume: ends another's suspend, or its next one.
(module
;;! prelude

(data (i32.const 512) "helper_repeats")
(data (i32.const 530) "some  bytes")

;; The other tells what it was resumed with.
(func (export "normal") (local $who i32)
    (local.set $who (call $child (i32.const 512) (i32.const 14)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $resume (local.get $who) (i32.const 530) (i32.const 11) (i64.const 0)))
    (call $is (call $hear (i64.const 3)) (i32.const 11))
    (call $must (call $same (global.get $BUF) (i32.const 530) (i32.const 11)))
    ;; And without bytes.
    (call $ok (call $resume (local.get $who) (i32.const 0) (i32.const 0) (i64.const 0)))
    (call $ok (call $hear (i64.const 3))))
(func (export "helper_repeats") (local $size i32)
    (loop $more
        (local.set $size (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP)))
        (if (i32.lt_s (local.get $size) (i32.const 0)) (then (return)))
        (call $ok (call $send (call $arg (i32.const 0)) (i64.const 3) (global.get $BUF) (local.get $size) (i64.const 0)))
        (br $more)))

(func (export "error_gone")
    (call $refused (call $resume (call $ended) (i32.const 0) (i32.const 0) (i64.const 0)) (global.get $GONE))
    (call $refused (call $resume (call $forged) (i32.const 0) (i32.const 0) (i64.const 0)) (global.get $GONE)))

;;! needs other-tenant
(func (export "error_denied")
    (call $refused (call $resume (call $arg (i32.const 0)) (i32.const 0) (i32.const 0) (i64.const 0)) (global.get $DENIED)))

;; One waits there already; it is not replaced.
(func (export "error_overloaded") (local $me i32)
    (local.set $me (call $me))
    (call $ok (call $resume (local.get $me) (i32.const 530) (i32.const 5) (i64.const 0)))
    (call $refused (call $resume (local.get $me) (i32.const 530) (i32.const 11) (i64.const 0)) (global.get $OVERLOADED))
    (call $is (call $suspend (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)) (i32.const 5)))

(func (export "error_too_large")
    (call $refused (call $resume (call $me) (i32.const 0) (global.get $LARGE) (i64.const 0)) (global.get $TOO_LARGE)))

;;! needs other-node
(func (export "error_node_lost")
    (call $refused (call $resume (call $arg (i32.const 0)) (i32.const 0) (i32.const 0) (i64.const 0)) (global.get $NODE_LOST)))

(func (export "trap_pointer") (drop (call $resume (call $me) (global.get $NOWHERE) (i32.const 4) (i64.const 0))))

(func (export "trap_pointer_of_the_address") (drop (call $resume (global.get $EDGE) (i32.const 0) (i32.const 0) (i64.const 0))))
)
