;; lock_is_set: whether an event is set.
(module
(import "corovan" "lock_set" (func $lock_set (param i32) (result i32)))
(import "corovan" "lock_clear" (func $lock_clear (param i32) (result i32)))
(import "corovan" "lock_is_set" (func $lock_is_set (param i32) (result i32)))
(import "corovan" "lock_close" (func $lock_close (param i32) (result i32)))
;;! prelude

(data (i32.const 512) "helper_sets")

(func (export "normal") (local $event i32)
    (local.set $event (call $lock (i32.const 3)))
    (call $ok (call $lock_is_set (local.get $event)))
    (call $ok (call $lock_set (local.get $event)))
    (call $is (call $lock_is_set (local.get $event)) (i32.const 1))
    (call $ok (call $lock_clear (local.get $event)))
    (call $ok (call $lock_is_set (local.get $event))))

;; By another, who has ended since; it is there as long as we have it open.
(func (export "normal_of_another") (local $event i32)
    (local.set $event (call $lock (i32.const 3)))
    (call $ended_as (call $child (i32.const 512) (i32.const 11)) (i32.const 1))
    (call $is (call $lock_is_set (local.get $event)) (i32.const 1)))
(func (export "helper_sets") (call $ok (call $lock_set (call $lock_of (call $arg (i32.const 0)) (i32.const 3)))))

(func (export "error_invalid")
    (call $refused (call $lock_is_set (call $lock (i32.const 1))) (global.get $INVALID))
    (call $refused (call $lock_is_set (call $lock (i32.const 2))) (global.get $INVALID))
    (call $refused (call $lock_is_set (call $lock (i32.const 4))) (global.get $INVALID))
    (call $refused (call $lock_is_set (call $lock (i32.const 5))) (global.get $INVALID)))

(func (export "trap_handle") (drop (call $lock_is_set (i32.const 77))))
(func (export "trap_handle_closed") (local $event i32)
    (local.set $event (call $lock (i32.const 3)))
    (call $ok (call $lock_close (local.get $event)))
    (drop (call $lock_is_set (local.get $event))))
)
