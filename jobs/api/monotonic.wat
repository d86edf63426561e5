;; monotonic: time since this coroutine's node started.
(module
;;! prelude

;; Never back, in steps of 100 microseconds.
(func (export "normal") (local $before i64)
    (local.set $before (call $monotonic))
    (call $must (i64.ge_s (local.get $before) (i64.const 0)))
    (call $is64 (i64.rem_u (local.get $before) (i64.const 100000)) (i64.const 0))
    (call $must (i64.ge_s (call $monotonic) (local.get $before)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $must (i64.ge_s (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))))
)
