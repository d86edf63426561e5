;; lock_clear: clears an event.
(module
(import "corovan" "lock_set" (func $lock_set (param i32) (result i32)))
(import "corovan" "lock_clear" (func $lock_clear (param i32) (result i32)))
(import "corovan" "lock_is_set" (func $lock_is_set (param i32) (result i32)))
(import "corovan" "lock_close" (func $lock_close (param i32) (result i32)))
(import "corovan" "lock_wait" (func $lock_wait (param i32 i64) (result i32)))
;;! prelude

;; Then it is waited for again. Clearing twice changes nothing.
(func (export "normal") (local $event i32)
    (local.set $event (call $lock (i32.const 3)))
    (call $ok (call $lock_clear (local.get $event)))
    (call $ok (call $lock_set (local.get $event)))
    (call $ok (call $lock_wait (local.get $event) (i64.const 0)))
    (call $ok (call $lock_clear (local.get $event)))
    (call $ok (call $lock_clear (local.get $event)))
    (call $ok (call $lock_is_set (local.get $event)))
    (call $refused (call $lock_wait (local.get $event) (i64.const 0)) (global.get $TIMEOUT)))

(func (export "error_invalid")
    (call $refused (call $lock_clear (call $lock (i32.const 1))) (global.get $INVALID))
    (call $refused (call $lock_clear (call $lock (i32.const 2))) (global.get $INVALID))
    (call $refused (call $lock_clear (call $lock (i32.const 4))) (global.get $INVALID))
    (call $refused (call $lock_clear (call $lock (i32.const 5))) (global.get $INVALID)))

(func (export "trap_handle") (drop (call $lock_clear (i32.const 77))))
(func (export "trap_handle_closed") (local $event i32)
    (local.set $event (call $lock (i32.const 3)))
    (call $ok (call $lock_close (local.get $event)))
    (drop (call $lock_clear (local.get $event))))
)
