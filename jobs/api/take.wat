;; take: copies what a token stands for, and gives the token back.
(module
;;! prelude

(data (i32.const 512) "some  bytes")

(func $token (result i64)
    (call $ok (call $send (call $me) (i64.const 2) (i32.const 512) (i32.const 11) (i64.const 0)))
    (call $is (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (i32.const 0)) (i32.const 11))
    (i64.load offset=16 (global.get $MESSAGE)))

;; In any order; no token is used again.
(func (export "normal") (local $one i64) (local $other i64)
    (local.set $one (call $token))
    (local.set $other (call $token))
    (call $must (i64.ne (local.get $one) (local.get $other)))
    (call $ok (call $take (local.get $other) (global.get $BUF)))
    (call $must (call $same (global.get $BUF) (i32.const 512) (i32.const 11)))
    (i64.store (global.get $BUF) (i64.const 0))
    (call $ok (call $take (local.get $one) (global.get $BUF)))
    (call $must (call $same (global.get $BUF) (i32.const 512) (i32.const 11)))
    (call $must (i64.gt_u (call $token) (local.get $other))))

;; Never given; taken before; dropped before.
(func (export "error_not_found") (local $token i64)
    (call $refused (call $take (i64.const 0) (global.get $BUF)) (global.get $NOT_FOUND))
    (call $refused (call $take (i64.const -1) (global.get $NOWHERE)) (global.get $NOT_FOUND))
    (local.set $token (call $token))
    (call $ok (call $take (local.get $token) (global.get $BUF)))
    (call $refused (call $take (local.get $token) (global.get $BUF)) (global.get $NOT_FOUND))
    (local.set $token (call $token))
    (call $ok (call $drop (local.get $token)))
    (call $refused (call $take (local.get $token) (global.get $BUF)) (global.get $NOT_FOUND)))

(func (export "trap_pointer") (drop (call $take (call $token) (global.get $EDGE))))
)
