;; lock_set: sets an event and wakes all who wait.
(module
(import "corovan" "lock_set" (func $lock_set (param i32) (result i32)))
(import "corovan" "lock_clear" (func $lock_clear (param i32) (result i32)))
(import "corovan" "lock_is_set" (func $lock_is_set (param i32) (result i32)))
(import "corovan" "lock_close" (func $lock_close (param i32) (result i32)))
(import "corovan" "lock_wait" (func $lock_wait (param i32 i64) (result i32)))
;;! prelude

(data (i32.const 512) "helper_waits")

;; All go on, and it stays set: again changes nothing.
(func (export "normal") (local $event i32)
    (local.set $event (call $lock (i32.const 3)))
    (drop (call $child (i32.const 512) (i32.const 12)))
    (drop (call $child (i32.const 512) (i32.const 12)))
    (call $ok (call $hear (i64.const 1)))
    (call $ok (call $hear (i64.const 1)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $refused (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT))
    (call $ok (call $lock_set (local.get $event)))
    (call $ok (call $hear (i64.const 2)))
    (call $ok (call $hear (i64.const 2)))
    (call $ok (call $lock_set (local.get $event)))
    (call $is (call $lock_is_set (local.get $event)) (i32.const 1)))
(func (export "helper_waits") (local $event i32)
    (local.set $event (call $lock_of (call $arg (i32.const 0)) (i32.const 3)))
    (call $say (call $arg (i32.const 0)) (i64.const 1))
    (call $ok (call $lock_wait (local.get $event) (global.get $FOREVER)))
    (call $say (call $arg (i32.const 0)) (i64.const 2)))

;; Also cleared at once, those who waited go on.
(func (export "normal_cleared") (local $event i32)
    (local.set $event (call $lock (i32.const 3)))
    (drop (call $child (i32.const 512) (i32.const 12)))
    (call $ok (call $hear (i64.const 1)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $lock_set (local.get $event)))
    (call $ok (call $lock_clear (local.get $event)))
    (call $ok (call $hear (i64.const 2))))

(func (export "error_invalid")
    (call $refused (call $lock_set (call $lock (i32.const 1))) (global.get $INVALID))
    (call $refused (call $lock_set (call $lock (i32.const 2))) (global.get $INVALID))
    (call $refused (call $lock_set (call $lock (i32.const 4))) (global.get $INVALID))
    (call $refused (call $lock_set (call $lock (i32.const 5))) (global.get $INVALID)))

(func (export "trap_handle") (drop (call $lock_set (i32.const 77))))
(func (export "trap_handle_closed") (local $event i32)
    (local.set $event (call $lock (i32.const 3)))
    (call $ok (call $lock_close (local.get $event)))
    (drop (call $lock_set (local.get $event))))
)
