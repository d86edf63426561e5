;; lock_release: gives a lock, a condition, or one of a semaphore back.
(module
(import "corovan" "lock_acquire" (func $lock_acquire (param i32 i64) (result i32)))
(import "corovan" "lock_release" (func $lock_release (param i32) (result i32)))
(import "corovan" "lock_close" (func $lock_close (param i32) (result i32)))
;;! prelude

(data (i32.const 512) "helper_may_not")

;; It can be taken anew.
(func (export "normal") (local $lock i32)
    (local.set $lock (call $lock (i32.const 1)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (call $ok (call $lock_release (local.get $lock)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (call $ok (call $lock_release (local.get $lock))))

;; Of every other kind that can be held.
(func (export "normal_kinds")
    (call $once (call $lock (i32.const 2)))
    (call $once (call $lock (i32.const 4)))
    (call $once (call $lock (i32.const 5))))
(func $once (param $lock i32)
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (call $ok (call $lock_release (local.get $lock)))
    (call $refused (call $lock_release (local.get $lock)) (global.get $NOT_HELD)))

;; By nobody, not any more, or by another.
(func (export "error_not_held") (local $lock i32)
    (local.set $lock (call $lock (i32.const 1)))
    (call $refused (call $lock_release (local.get $lock)) (global.get $NOT_HELD))
    (call $once (local.get $lock))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (call $ended_as (call $child (i32.const 512) (i32.const 14)) (i32.const 1))
    (call $ok (call $lock_release (local.get $lock))))
(func (export "helper_may_not")
    (call $refused (call $lock_release (call $lock_of (call $arg (i32.const 0)) (i32.const 1))) (global.get $NOT_HELD)))

(func (export "error_invalid") (call $refused (call $lock_release (call $lock (i32.const 3))) (global.get $INVALID)))

(func (export "trap_handle") (drop (call $lock_release (i32.const 77))))
(func (export "trap_handle_closed") (local $lock i32)
    (local.set $lock (call $lock (i32.const 1)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (call $ok (call $lock_close (local.get $lock)))
    (drop (call $lock_release (local.get $lock))))
)
