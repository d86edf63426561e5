;; last_error: the detail of the last negative result.
(module
;;! prelude

;; Empty at first, then of the last failure; successes leave it.
(func (export "normal") (local $size i32)
    (call $ok (call $last_error (global.get $BUF) (global.get $CAP)))
    (call $is (call $drop (i64.const 77)) (global.get $NOT_FOUND))
    (local.set $size (call $last_error (global.get $BUF) (i32.const 0)))
    (call $must (i32.gt_s (local.get $size) (i32.const 4)))
    (call $ok (call $sleep (i64.const 0)))
    (call $is (call $last_error (global.get $BUF) (global.get $CAP)) (local.get $size))
    ;; It names what it is about.
    (call $must (call $has (global.get $BUF) (local.get $size) (i32.const 512) (i32.const 2)))
    (call $is (call $finish (i32.const 0) (i32.const 0)) (global.get $INVALID))
    (call $must (i32.ne (call $last_error (global.get $BUF) (i32.const 0)) (local.get $size))))
(data (i32.const 512) "77")

(func (export "trap_pointer")
    (call $is (call $drop (i64.const 77)) (global.get $NOT_FOUND))
    (drop (call $last_error (global.get $NOWHERE) (global.get $CAP))))
)
