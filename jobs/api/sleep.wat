;; sleep: suspends this coroutine.
(module
;;! prelude

(data (i32.const 512) "helper_speaks")

(func (export "normal") (local $before i64)
    (local.set $before (call $monotonic))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND)))

;; Without a time it lets others run.
;;! needs one-worker
(func (export "normal_zero") (local $before i64)
    (drop (call $child (i32.const 512) (i32.const 13)))
    (local.set $before (call $monotonic))
    (call $ok (call $sleep (i64.const 0)))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (i64.const 0))
    (call $ok (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP))))
(func (export "helper_speaks") (call $say (call $arg (i32.const 0)) (i64.const 5)))

(func (export "error_interrupted") (local $before i64)
    (local.set $before (call $monotonic))
    (call $interrupter)
    (call $is (call $sleep (global.get $FOREVER)) (global.get $INTERRUPTED))
    (call $is (call $last_error (global.get $BUF) (global.get $CAP)) (i32.const 4))
    (call $must (call $same (global.get $BUF) (i32.const 96) (i32.const 4)))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND)))

;; Also of no time, where it was interrupted before.
(func (export "error_interrupted_before")
    (call $ok (call $interrupt (call $me) (i32.const 96) (i32.const 4) (i64.const 0)))
    (call $is (call $sleep (i64.const 0)) (global.get $INTERRUPTED))
    (call $ok (call $sleep (i64.const 0))))
)
