;; yield: lets others run.
(module
;;! prelude

(data (i32.const 512) "helper_speaks")

;; Another that is ready has its turn before this call returns.
;;! needs one-worker
(func (export "normal")
    (drop (call $child (i32.const 512) (i32.const 13)))
    (call $is (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT))
    (call $ok (call $yield))
    (call $ok (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP))))
(func (export "helper_speaks") (call $say (call $arg (i32.const 0)) (i64.const 5)))

;; Once, and the detail is the reason.
(func (export "error_interrupted")
    (call $ok (call $interrupt (call $me) (i32.const 96) (i32.const 4) (i64.const 0)))
    (call $is (call $yield) (global.get $INTERRUPTED))
    (call $is (call $last_error (global.get $BUF) (global.get $CAP)) (i32.const 4))
    (call $must (call $same (global.get $BUF) (i32.const 96) (i32.const 4)))
    (call $ok (call $yield)))
)
