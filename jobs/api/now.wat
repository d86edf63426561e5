;; now: Unix time.
(module
;;! prelude

;; In nanoseconds, of this century, in steps of 100 microseconds, and it goes on.
(func (export "normal") (local $before i64)
    (local.set $before (call $now))
    (call $must (i64.gt_s (local.get $before) (i64.const 1700000000000000000)))
    (call $must (i64.lt_s (local.get $before) (i64.const 4102444800000000000)))
    (call $is64 (i64.rem_u (local.get $before) (i64.const 100000)) (i64.const 0))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $must (i64.ge_s (i64.sub (call $now) (local.get $before)) (global.get $SECOND))))
)
