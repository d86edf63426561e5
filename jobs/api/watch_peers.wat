;; watch_peers: messages with peers that came, changed or went.
(module
(import "corovan" "watch_peers" (func $watch_peers (param i32) (result i32)))
;;! prelude

;; The first comes at once, also where nobody is there, and once however often it is asked for.
(func (export "normal")
    (call $ok (call $watch_peers (i32.const 1)))
    (call $ok (call $watch_peers (i32.const 1)))
    (call $is (call $hear (i64.const 0)) (i32.const 1))
    (call $is (i32.load offset=4 (global.get $MESSAGE)) (i32.const 5))
    (call $is (i32.load8_u (global.get $BUF)) (i32.const 0x80))
    (call $ok (call $watch_peers (i32.const 0)))
    (call $ok (call $watch_peers (i32.const 0)))
    (call $is (call $receive (global.get $SECOND) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

(func (export "error_overloaded")
    (call $timers)
    (call $refused (call $watch_peers (i32.const 1)) (global.get $OVERLOADED)))
)
