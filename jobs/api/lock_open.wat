;; lock_open: makes or finds a lock of the computation's.
(module
(import "corovan" "lock_acquire" (func $lock_acquire (param i32 i64) (result i32)))
(import "corovan" "lock_release" (func $lock_release (param i32) (result i32)))
(import "corovan" "lock_close" (func $lock_close (param i32) (result i32)))
;;! prelude

(data (i32.const 512) "helper_has_many")

(func $open (param $kind i32) (param $i i32) (param $value i32) (result i32)
    (call $lock_open (local.get $kind) (call $name (local.get $i)) (global.get $NAME_LEN) (local.get $value)))

;; Of every kind. A handle for each call, and what is held is held by whichever.
(func (export "normal") (local $kind i32) (local $first i32) (local $second i32)
    (loop $more
        (local.set $kind (i32.add (local.get $kind) (i32.const 1)))
        (local.set $first (call $lock (local.get $kind)))
        (local.set $second (call $lock (local.get $kind)))
        (call $must (i32.ne (local.get $first) (local.get $second)))
        (if (i32.ne (local.get $kind) (i32.const 3)) (then
            (call $ok (call $lock_acquire (local.get $first) (i64.const 0)))
            (call $ok (call $lock_release (local.get $second)))))
        (br_if $more (i32.lt_u (local.get $kind) (i32.const 5)))))

;; One that is there is only found: a semaphore keeps its count.
(func (export "normal_found") (local $semaphore i32)
    (local.set $semaphore (call $open (i32.const 5) (i32.const 0) (i32.const 1)))
    (call $must (i32.gt_s (call $open (i32.const 5) (i32.const 0) (i32.const 0)) (i32.const 0)))
    (call $must (i32.gt_s (call $open (i32.const 5) (i32.const 0) (i32.const 7)) (i32.const 0)))
    (call $ok (call $lock_acquire (local.get $semaphore) (i64.const 0)))
    (call $refused (call $lock_acquire (local.get $semaphore) (i64.const 0)) (global.get $TIMEOUT)))

;; One that nobody has open is there no longer: another kind may have its name.
(func (export "normal_anew") (local $lock i32)
    (local.set $lock (call $open (i32.const 1) (i32.const 0) (i32.const 0)))
    (call $ok (call $lock_close (local.get $lock)))
    (call $must (i32.gt_s (call $open (i32.const 3) (i32.const 0) (i32.const 0)) (i32.const 0))))

(func (export "error_invalid_kind")
    (call $refused (call $open (i32.const 0) (i32.const 0) (i32.const 0)) (global.get $INVALID))
    (call $refused (call $open (i32.const 6) (i32.const 0) (i32.const 0)) (global.get $INVALID))
    ;; It is there as another.
    (drop (call $open (i32.const 1) (i32.const 0) (i32.const 0)))
    (call $refused (call $open (i32.const 2) (i32.const 0) (i32.const 0)) (global.get $INVALID)))
(func (export "error_invalid_name")
    (call $refused (call $lock_open (i32.const 1) (i32.const 512) (i32.const 0) (i32.const 0)) (global.get $INVALID))
    (memory.fill (i32.const 16384) (i32.const 0x61) (i32.const 129))
    (call $refused (call $lock_open (i32.const 1) (i32.const 16384) (i32.const 129) (i32.const 0)) (global.get $INVALID))
    (call $must (i32.gt_s (call $lock_open (i32.const 1) (i32.const 16384) (i32.const 128) (i32.const 0)) (i32.const 0))))
;; A count is a semaphore's alone, and a new one has one.
(func (export "error_invalid_value")
    (call $refused (call $open (i32.const 1) (i32.const 0) (i32.const 1)) (global.get $INVALID))
    (call $refused (call $open (i32.const 5) (i32.const 0) (i32.const 0)) (global.get $INVALID)))

;; 1,024 handles are as many as a coroutine has; a closed one makes room.
(func (export "error_overloaded") (local $i i32) (local $last i32)
    (loop $more
        (local.set $last (call $open (i32.const 1) (i32.const 0) (i32.const 0)))
        (call $must (i32.gt_s (local.get $last) (i32.const 0)))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1024))))
    (call $refused (call $open (i32.const 1) (i32.const 0) (i32.const 0)) (global.get $OVERLOADED))
    (call $ok (call $lock_close (local.get $last)))
    (call $must (i32.gt_s (call $open (i32.const 1) (i32.const 0) (i32.const 0)) (i32.const 0))))

;; 10,000 locks are as many as a computation has: ten others have them. One that is there can be opened.
;;! needs alone
(func (export "error_overloaded_of_many") (local $i i32)
    (loop $more
        (drop (call $child (i32.const 512) (i32.const 15)))
        (call $ok (call $hear (i64.const 1)))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
    (call $refused (call $open (i32.const 1) (i32.const 0) (i32.const 0)) (global.get $OVERLOADED))
    (call $must (i32.gt_s
        (call $lock_open (i32.const 1) (call $name_of (i32.add (global.get $MESSAGE) (i32.const 32)) (i32.const 0)) (global.get $NAME_LEN) (i32.const 0))
        (i32.const 0))))
(func (export "helper_has_many") (local $i i32)
    (loop $more
        (call $must (i32.gt_s (call $open (i32.const 1) (local.get $i) (i32.const 0)) (i32.const 0)))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
    (call $say (call $arg (i32.const 0)) (i64.const 1))
    (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))

;; Handles are charged to the tenant.
;;! needs little-held
(func (export "error_overloaded_by_the_quota") (local $i i32) (local $handle i32)
    (loop $more
        (local.set $handle (call $open (i32.const 1) (i32.const 0) (i32.const 0)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.gt_s (local.get $handle) (i32.const 0))))
    (call $refused (local.get $handle) (global.get $OVERLOADED))
    (call $must (i32.lt_u (local.get $i) (i32.const 1000))))

(func (export "trap_pointer") (drop (call $lock_open (i32.const 1) (global.get $EDGE) (i32.const 2) (i32.const 0))))
(func (export "trap_text") (drop (call $lock_open (i32.const 1) (i32.const 160) (i32.const 2) (i32.const 0))))
)
