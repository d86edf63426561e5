;; lock_close: closes a handle.
(module
(import "corovan" "lock_acquire" (func $lock_acquire (param i32 i64) (result i32)))
(import "corovan" "lock_release" (func $lock_release (param i32) (result i32)))
(import "corovan" "lock_close" (func $lock_close (param i32) (result i32)))
(import "corovan" "lock_set" (func $lock_set (param i32) (result i32)))
(import "corovan" "lock_is_set" (func $lock_is_set (param i32) (result i32)))
;;! prelude

(data (i32.const 512) "helper_closes")

;; With one of two handles nothing is given back.
(func (export "normal") (local $first i32) (local $second i32)
    (local.set $first (call $lock (i32.const 1)))
    (local.set $second (call $lock (i32.const 1)))
    (call $ok (call $lock_acquire (local.get $first) (i64.const 0)))
    (call $ok (call $lock_close (local.get $first)))
    (call $refused (call $lock_acquire (local.get $second) (i64.const 0)) (global.get $TIMEOUT))
    (call $ok (call $lock_release (local.get $second)))
    (call $ok (call $lock_close (local.get $second))))

;; With the last one all is, however often it was held: we get it while the other is still there.
(func (export "normal_releases")
    (drop (call $child (i32.const 512) (i32.const 13)))
    (call $ok (call $hear (i64.const 1)))
    (call $ok (call $lock_acquire (call $lock (i32.const 2)) (i64.const 0))))
(func (export "helper_closes") (local $lock i32)
    (local.set $lock (call $lock_of (call $arg (i32.const 0)) (i32.const 2)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (call $ok (call $lock_close (local.get $lock)))
    (call $say (call $arg (i32.const 0)) (i64.const 1))
    (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))

;; What nobody has open is gone, and the next of its name is new.
(func (export "normal_forgets") (local $event i32)
    (local.set $event (call $lock (i32.const 3)))
    (call $ok (call $lock_set (local.get $event)))
    (call $ok (call $lock_close (local.get $event)))
    (call $ok (call $lock_is_set (call $lock (i32.const 3)))))

(func (export "trap_handle") (drop (call $lock_close (i32.const 77))))
(func (export "trap_handle_closed") (local $lock i32)
    (local.set $lock (call $lock (i32.const 1)))
    (call $ok (call $lock_close (local.get $lock)))
    (drop (call $lock_close (local.get $lock))))
)
