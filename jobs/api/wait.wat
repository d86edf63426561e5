;; wait: the first thing that is ready.
(module
;;! prelude

;; Entries from here on, 32 bytes each.
(global $SET i32 (i32.const 16384))

(func $timer (param $at i32) (param $when i64)
    (memory.fill (local.get $at) (i32.const 0) (i32.const 32))
    (i32.store (local.get $at) (i32.const 1))
    (i64.store offset=8 (local.get $at) (local.get $when)))
(func $entry_of (param $at i32) (param $kind i32) (param $pointer i32)
    (memory.fill (local.get $at) (i32.const 0) (i32.const 32))
    (i32.store (local.get $at) (local.get $kind))
    (i64.store offset=8 (local.get $at) (i64.extend_i32_u (local.get $pointer))))
(func $later (param $seconds i64) (result i64) (i64.add (call $monotonic) (i64.mul (global.get $SECOND) (local.get $seconds))))

;; The earliest of two timers; of those that are due, the lowest.
(func (export "normal") (local $before i64)
    (local.set $before (call $monotonic))
    (call $timer (global.get $SET) (call $later (i64.const 5)))
    (call $timer (i32.const 16416) (call $later (i64.const 2)))
    (call $is (call $wait (global.get $SET) (i32.const 2) (global.get $FOREVER)) (i32.const 1))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (i64.mul (global.get $SECOND) (i64.const 2)))
    (call $ok (call $sleep (i64.mul (global.get $SECOND) (i64.const 9))))
    (call $is (call $wait (global.get $SET) (i32.const 2) (i64.const 0)) (i32.const 0)))

;; A message that a filter takes; it is still there afterwards.
(func (export "normal_message")
    (call $entry_of (global.get $SET) (i32.const 2) (call $by_tag (i64.const 6)))
    (call $entry_of (i32.const 16416) (i32.const 2) (i32.const 0))
    (call $is (call $wait (global.get $SET) (i32.const 2) (i64.const 0)) (global.get $TIMEOUT))
    (drop (call $child (i32.const 512) (i32.const 13)))
    (call $is (call $wait (global.get $SET) (i32.const 1) (global.get $FOREVER)) (i32.const 0))
    (call $is (call $wait (i32.const 16416) (i32.const 1) (i64.const 0)) (i32.const 0))
    (call $ok (call $hear (i64.const 5)))
    (call $ok (call $hear (i64.const 6))))
(data (i32.const 512) "helper_speaks")
(func (export "helper_speaks")
    (call $ok (call $sleep (global.get $SECOND)))
    (call $say (call $arg (i32.const 0)) (i64.const 5))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $say (call $arg (i32.const 0)) (i64.const 6)))

;; The end of another: to come, past, or of one that was never there.
(func (export "normal_exit")
    (call $entry_of (global.get $SET) (i32.const 5) (call $idler))
    (call $entry_of (i32.const 16416) (i32.const 5) (call $child (i32.const 512) (i32.const 13)))
    (call $entry_of (i32.const 16448) (i32.const 5) (call $ended))
    (call $entry_of (i32.const 16480) (i32.const 5) (call $forged))
    (call $is (call $wait (global.get $SET) (i32.const 4) (i64.const 0)) (i32.const 2))
    (call $is (call $wait (i32.const 16480) (i32.const 1) (i64.const 0)) (i32.const 0))
    (call $is (call $wait (global.get $SET) (i32.const 2) (global.get $FOREVER)) (i32.const 1)))

;;! needs other-node
(func (export "normal_exit_node_lost")
    (call $entry_of (global.get $SET) (i32.const 5) (call $arg (i32.const 0)))
    (call $ok (call $wait (global.get $SET) (i32.const 1) (i64.const 0))))

;; As many as there can be.
(func (export "normal_256") (local $at i32)
    (local.set $at (global.get $SET))
    (loop $more
        (call $timer (local.get $at) (call $later (i64.const 5)))
        (local.set $at (i32.add (local.get $at) (i32.const 32)))
        (br_if $more (i32.lt_u (local.get $at) (i32.const 24576))))
    (call $timer (i32.const 24544) (call $later (i64.const 1)))
    (call $is (call $wait (global.get $SET) (i32.const 256) (global.get $FOREVER)) (i32.const 255)))

(func (export "error_timeout") (local $before i64)
    (local.set $before (call $monotonic))
    (call $timer (global.get $SET) (call $later (i64.const 5)))
    (call $refused (call $wait (global.get $SET) (i32.const 1) (global.get $SECOND)) (global.get $TIMEOUT))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND)))

(func (export "error_interrupted")
    (call $interrupter)
    (call $entry_of (global.get $SET) (i32.const 2) (i32.const 0))
    (call $refused (call $wait (global.get $SET) (i32.const 1) (global.get $FOREVER)) (global.get $INTERRUPTED)))

(func (export "error_unsupported")
    (call $entry_of (global.get $SET) (i32.const 3) (i32.const 0))
    (call $refused (call $wait (global.get $SET) (i32.const 1) (i64.const 0)) (global.get $UNSUPPORTED))
    (call $entry_of (global.get $SET) (i32.const 77) (i32.const 0))
    (call $refused (call $wait (global.get $SET) (i32.const 1) (i64.const 0)) (global.get $UNSUPPORTED)))

(func (export "error_invalid")
    (call $refused (call $wait (global.get $SET) (i32.const 0) (i64.const 0)) (global.get $INVALID))
    (call $refused (call $wait (global.get $SET) (i32.const 257) (i64.const 0)) (global.get $INVALID))
    (call $timer (global.get $SET) (i64.const 0))
    (i32.store offset=4 (global.get $SET) (i32.const 1))
    (call $refused (call $wait (global.get $SET) (i32.const 1) (i64.const 0)) (global.get $INVALID))
    (call $timer (global.get $SET) (i64.const 0))
    (i32.store offset=24 (global.get $SET) (i32.const 1))
    (call $refused (call $wait (global.get $SET) (i32.const 1) (i64.const 0)) (global.get $INVALID)))

;;! needs other-tenant
(func (export "error_denied")
    (call $entry_of (global.get $SET) (i32.const 5) (call $arg (i32.const 0)))
    (call $refused (call $wait (global.get $SET) (i32.const 1) (i64.const 0)) (global.get $DENIED)))

(func (export "trap_pointer") (drop (call $wait (global.get $EDGE) (i32.const 1) (i64.const 0))))
(func (export "trap_pointer_of_a_filter")
    (call $entry_of (global.get $SET) (i32.const 2) (global.get $EDGE))
    (drop (call $wait (global.get $SET) (i32.const 1) (i64.const 0))))
(func (export "trap_pointer_of_an_exit")
    (call $entry_of (global.get $SET) (i32.const 5) (global.get $EDGE))
    (drop (call $wait (global.get $SET) (i32.const 1) (i64.const 0))))
(func (export "trap_options")
    (call $entry_of (global.get $SET) (i32.const 2) (call $by_tag (i64.const 6)))
    (i32.store (global.get $FILTER) (i32.const 57))
    (drop (call $wait (global.get $SET) (i32.const 1) (i64.const 0))))
)
