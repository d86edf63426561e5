;; lock_acquire: takes a lock, a condition, or one of a semaphore.
(module
(import "corovan" "lock_acquire" (func $lock_acquire (param i32 i64) (result i32)))
(import "corovan" "lock_release" (func $lock_release (param i32) (result i32)))
(import "corovan" "lock_close" (func $lock_close (param i32) (result i32)))
;;! prelude

(data (i32.const 512) "helper_takes")
(data (i32.const 530) "helper_holds_a_second")

;; First come, first served.
(func (export "normal") (local $lock i32) (local $first i32) (local $second i32)
    (local.set $lock (call $lock (i32.const 1)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (local.set $first (call $child (i32.const 512) (i32.const 12)))
    (call $ok (call $sleep (global.get $SECOND)))
    (local.set $second (call $child (i32.const 512) (i32.const 12)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $lock_release (local.get $lock)))
    (call $ok (call $lock_acquire (local.get $lock) (global.get $FOREVER)))
    (call $ok (call $hear (i64.const 1)))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $first) (i32.const 32)))
    (call $ok (call $hear (i64.const 1)))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $second) (i32.const 32))))
(func (export "helper_takes") (local $lock i32)
    (local.set $lock (call $lock_of (call $arg (i32.const 0)) (i32.const 1)))
    (call $ok (call $lock_acquire (local.get $lock) (global.get $FOREVER)))
    (call $say (call $arg (i32.const 0)) (i64.const 1))
    (call $ok (call $lock_release (local.get $lock))))

;; Given back by an end as well.
(func (export "normal_after_an_end") (local $before i64)
    (local.set $before (call $monotonic))
    (drop (call $child (i32.const 530) (i32.const 21)))
    (call $ok (call $hear (i64.const 1)))
    (call $ok (call $lock_acquire (call $lock (i32.const 1)) (global.get $FOREVER)))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND)))
(func (export "helper_holds_a_second")
    (call $ok (call $lock_acquire (call $lock_of (call $arg (i32.const 0)) (i32.const 1)) (global.get $FOREVER)))
    (call $say (call $arg (i32.const 0)) (i64.const 1))
    (call $ok (call $sleep (global.get $SECOND))))

;; A reentrant lock and a condition can be taken again by who holds them, and are free when given back as often.
(func (export "normal_reentrant")
    (call $twice (call $lock (i32.const 2)))
    (call $twice (call $lock (i32.const 4))))
(func $twice (param $lock i32)
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (call $ok (call $lock_release (local.get $lock)))
    (call $ok (call $lock_release (local.get $lock)))
    (call $refused (call $lock_release (local.get $lock)) (global.get $NOT_HELD)))

;; Of a semaphore of two, two; the third one waits.
(func (export "normal_semaphore") (local $lock i32)
    (local.set $lock (call $lock (i32.const 5)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (call $refused (call $lock_acquire (local.get $lock) (i64.const 0)) (global.get $TIMEOUT))
    (call $ok (call $lock_release (local.get $lock)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0))))

;; Also by the one who holds it: a lock is not reentrant.
(func (export "error_timeout") (local $lock i32) (local $before i64)
    (local.set $lock (call $lock (i32.const 1)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (local.set $before (call $monotonic))
    (call $refused (call $lock_acquire (local.get $lock) (global.get $SECOND)) (global.get $TIMEOUT))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))
    (call $refused (call $lock_acquire (local.get $lock) (i64.const 0)) (global.get $TIMEOUT))
    ;; It is not taken later.
    (call $ok (call $lock_release (local.get $lock)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0))))

(func (export "error_interrupted") (local $lock i32)
    (local.set $lock (call $lock (i32.const 1)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
    (call $interrupter)
    (call $refused (call $lock_acquire (local.get $lock) (global.get $FOREVER)) (global.get $INTERRUPTED))
    (call $ok (call $lock_release (local.get $lock))))

(func (export "error_invalid") (call $refused (call $lock_acquire (call $lock (i32.const 3)) (i64.const 0)) (global.get $INVALID)))

;; Held 65,536 times, which is the limit.
(func (export "error_overloaded") (local $lock i32) (local $i i32)
    (local.set $lock (call $lock (i32.const 2)))
    (loop $more
        (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 65536))))
    (call $refused (call $lock_acquire (local.get $lock) (i64.const 0)) (global.get $OVERLOADED))
    (call $ok (call $lock_release (local.get $lock)))
    (call $ok (call $lock_acquire (local.get $lock) (i64.const 0))))

(func (export "trap_handle") (drop (call $lock_acquire (i32.const 77) (i64.const 0))))
(func (export "trap_handle_closed") (local $lock i32)
    (local.set $lock (call $lock (i32.const 1)))
    (call $ok (call $lock_close (local.get $lock)))
    (drop (call $lock_acquire (local.get $lock) (i64.const 0))))
)
