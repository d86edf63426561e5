;; drop: gives a token back and drops what it stands for.
(module
;;! prelude

(data (i32.const 512) "some  bytes")

(func (export "normal") (local $i i32)
    (call $tokens)
    (local.set $i (i32.const 100))
    (loop $more
        (call $ok (call $drop (i64.load offset=16 (global.get $MESSAGE))))
        (call $ok (call $send (call $me) (i64.const 2) (i32.const 512) (i32.const 11) (i64.const 0)))
        (call $is (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (i32.const 0)) (i32.const 11))
        (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1))))))

(func (export "error_not_found")
    (call $refused (call $drop (i64.const 0)) (global.get $NOT_FOUND))
    (call $refused (call $drop (i64.const 1)) (global.get $NOT_FOUND))
    (call $tokens)
    (call $ok (call $drop (i64.const 1)))
    (call $refused (call $drop (i64.const 1)) (global.get $NOT_FOUND)))
)
