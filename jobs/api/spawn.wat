;; spawn: makes a coroutine.
(module
;;! prelude

(data (i32.const 512) "helper_finishes")
(data (i32.const 530) "gives")
(data (i32.const 540) "\82\01\02")
(data (i32.const 550) "\81\63net")
(data (i32.const 560) "elsewhere")
(data (i32.const 570) "nobody")
(data (i32.const 580) "helper_looks_at_its_deadline")
(data (i32.const 620) "\65bytes\43\82\01\02")

;; Its address is its own, and where its end is learned of.
(func (export "normal") (local $who i32)
    (local.set $who (call $child (i32.const 512) (i32.const 15)))
    (call $is (call $same (local.get $who) (call $me) (i32.const 32)) (i32.const 0))
    (call $ended_as (local.get $who) (i32.const 1)))
(func (export "helper_finishes") (call $ok (call $finish (i32.const 168) (i32.const 1))))

;; Without options, and with arguments of any kind.
(func (export "normal_without_options") (local $who i32)
    (local.set $who (call $room))
    (call $ok (call $spawn (i32.const 64) (i32.const 11) (i32.const 540) (i32.const 3) (i32.const 0) (local.get $who)))
    (call $ended_as (local.get $who) (i32.const 1)))

;;! needs module
(func (export "normal_of_another_module") (local $who i32)
    (local.set $who (call $room))
    (i32.store offset=8 (call $options (i32.const 1)) (call $arg (i32.const 0)))
    (call $ok (call $spawn (i32.const 530) (i32.const 5) (i32.const 540) (i32.const 3) (global.get $OPTIONS) (local.get $who)))
    (call $ended_as (local.get $who) (i32.const 1))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 620) (i32.const 10))))

;; One exit message, and not two.
(func (export "normal_monitored") (local $who i32)
    (local.set $who (call $child_with (i32.const 64) (i32.const 11) (i32.const 2)))
    (call $must (i32.gt_s (call $hear (i64.const 0)) (i32.const 0)))
    (call $is (i32.load offset=4 (global.get $MESSAGE)) (i32.const 1))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $who) (i32.const 32)))
    (call $outcome_is (global.get $BUF) (i32.load (global.get $MESSAGE)) (i32.const 1))
    (call $is (call $receive (global.get $SECOND) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

;; The end of the child as it should be is not ours.
(func (export "normal_linked")
    (call $end_of (call $child_with (i32.const 64) (i32.const 11) (i32.const 4)))
    (call $ok (call $sleep (global.get $SECOND))))

;; Any other is.
(func (export "terminated_linked")
    (drop (call $child_with (i32.const 80) (i32.const 12) (i32.const 4)))
    (call $refused (call $sleep (global.get $FOREVER)) (global.get $INTERRUPTED))
    (call $ok (call $finish (i32.const 168) (i32.const 1))))

;; A working child keeps the computation open after us, which the harness sees to.
(func (export "normal_outlived")
    (drop (call $child_with (i32.const 580) (i32.const 28) (i32.const 0))))

;; It has what is left of our time, or less.
(func (export "normal_deadline") (local $who i32)
    (call $ended_as (call $child (i32.const 580) (i32.const 28)) (i32.const 1))
    (local.set $who (call $room))
    (i64.store offset=40 (call $options (i32.const 1)) (i64.mul (global.get $SECOND) (i64.const 3)))
    (call $ok (call $spawn (i32.const 48) (i32.const 12) (i32.const 168) (i32.const 1) (global.get $OPTIONS) (local.get $who)))
    (call $ended_as (local.get $who) (i32.const 7)))
(func (export "helper_looks_at_its_deadline")
    (call $must (i64.gt_s (call $deadline) (i64.const 0)))
    (call $must (i64.le_s (call $deadline) (i64.const 3600000000000)))
    (call $ok (call $sleep (global.get $SECOND))))

;; Its memory is no more than it is given: this one needs more to begin with.
(func (export "normal_memory") (local $who i32)
    (local.set $who (call $room))
    (i64.store offset=48 (call $options (i32.const 1)) (i64.const 65536))
    (call $ok (call $spawn (i32.const 64) (i32.const 11) (i32.const 168) (i32.const 1) (global.get $OPTIONS) (local.get $who)))
    (call $ended_as (local.get $who) (i32.const 5)))

;; Wherever there is room: here.
(func (export "normal_anywhere")
    (call $ended_as (call $child_with (i32.const 64) (i32.const 11) (i32.const 9)) (i32.const 1)))

;; A right that we do not have ourselves.
(func (export "error_denied")
    (i32.store offset=20 (call $options (i32.const 1)) (i32.const 5))
    (i32.store offset=24 (global.get $OPTIONS) (i32.const 550))
    (call $refused (call $try (i32.const 64) (i32.const 11)) (global.get $DENIED)))

;; The tenant may have four, and one is us.
;;! needs few-coroutines
(func (export "error_overloaded")
    (drop (call $idler)) (drop (call $idler)) (drop (call $idler))
    (drop (call $options (i32.const 1)))
    (call $refused (call $try (i32.const 64) (i32.const 11)) (global.get $OVERLOADED)))

(func (export "error_unknown_function")
    (drop (call $options (i32.const 1)))
    (call $refused (call $try (i32.const 570) (i32.const 6)) (global.get $UNKNOWN_FUNCTION))
    (call $refused (call $try (i32.const 0) (i32.const 0)) (global.get $UNKNOWN_FUNCTION))
    ;; Longer than a name can be.
    (memory.fill (i32.const 65536) (i32.const 0x61) (i32.const 200000))
    (call $refused (call $try (i32.const 65536) (i32.const 129)) (global.get $UNKNOWN_FUNCTION))
    (call $refused (call $try (i32.const 65536) (i32.const 200000)) (global.get $UNKNOWN_FUNCTION)))

;;! needs bad-module
(func (export "error_bad_module")
    (i32.store offset=8 (call $options (i32.const 1)) (call $arg (i32.const 0)))
    (call $refused (call $try (i32.const 530) (i32.const 5)) (global.get $BAD_MODULE)))

;; No module has these bytes for its name.
(func (export "error_need_module")
    (i32.store offset=8 (call $options (i32.const 1)) (i32.const 512))
    (call $refused (call $try (i32.const 530) (i32.const 5)) (global.get $NEED_MODULE)))

;; Told before the pointer is looked at.
(func (export "error_too_large")
    (call $refused (call $spawn (i32.const 64) (i32.const 11) (i32.const 0) (i32.const 0x1000001) (i32.const 0) (call $room))
        (global.get $TOO_LARGE)))

;; Arguments that are not one array; a flag that means nothing; rights that are none.
(func (export "error_invalid")
    (call $refused (call $spawn (i32.const 64) (i32.const 11) (i32.const 0) (i32.const 0) (i32.const 0) (call $room)) (global.get $INVALID))
    (call $refused (call $spawn (i32.const 64) (i32.const 11) (i32.const 541) (i32.const 1) (i32.const 0) (call $room)) (global.get $INVALID))
    (call $refused (call $spawn (i32.const 64) (i32.const 11) (i32.const 540) (i32.const 2) (i32.const 0) (call $room)) (global.get $INVALID))
    (drop (call $options (i32.const 0x10)))
    (call $refused (call $try (i32.const 64) (i32.const 11)) (global.get $INVALID))
    (i32.store offset=20 (call $options (i32.const 1)) (i32.const 3))
    (i32.store offset=24 (global.get $OPTIONS) (i32.const 550))
    (call $refused (call $try (i32.const 64) (i32.const 11)) (global.get $INVALID)))

(func (export "error_node_lost")
    (i32.store offset=12 (call $options (i32.const 1)) (i32.const 560))
    (i32.store offset=16 (global.get $OPTIONS) (i32.const 9))
    (call $refused (call $try (i32.const 64) (i32.const 11)) (global.get $NODE_LOST)))

;; While the computation is ended nothing more is made in it.
;;! needs ending
(func (export "error_shutting_down")
    (call $is (call $sleep (global.get $FOREVER)) (global.get $INTERRUPTED))
    (drop (call $options (i32.const 1)))
    (call $refused (call $try (i32.const 64) (i32.const 11)) (global.get $SHUTTING_DOWN))
    (call $ok (call $finish (i32.const 168) (i32.const 1))))

(func (export "trap_pointer") (drop (call $spawn (global.get $NOWHERE) (i32.const 11) (i32.const 168) (i32.const 1) (i32.const 0) (call $room))))
(func (export "trap_pointer_of_the_arguments")
    (drop (call $spawn (i32.const 64) (i32.const 11) (global.get $EDGE) (i32.const 2) (i32.const 0) (call $room))))
(func (export "trap_pointer_of_the_options")
    (drop (call $spawn (i32.const 64) (i32.const 11) (i32.const 168) (i32.const 1) (global.get $EDGE) (call $room))))
(func (export "trap_pointer_of_the_module")
    (i32.store offset=8 (call $options (i32.const 1)) (global.get $EDGE))
    (drop (call $try (i32.const 64) (i32.const 11))))
(func (export "trap_pointer_of_the_place")
    (i32.store offset=12 (call $options (i32.const 1)) (global.get $EDGE))
    (i32.store offset=16 (global.get $OPTIONS) (i32.const 9))
    (drop (call $try (i32.const 64) (i32.const 11))))
(func (export "trap_pointer_of_the_rights")
    (i32.store offset=20 (call $options (i32.const 1)) (i32.const 5))
    (i32.store offset=24 (global.get $OPTIONS) (global.get $EDGE))
    (drop (call $try (i32.const 64) (i32.const 11))))
;; Seen before a child is made whose address nobody would learn.
(func (export "trap_pointer_of_the_address")
    (drop (call $spawn (i32.const 80) (i32.const 12) (i32.const 168) (i32.const 1) (i32.const 0) (global.get $EDGE))))
(func (export "trap_text") (drop (call $spawn (i32.const 160) (i32.const 2) (i32.const 168) (i32.const 1) (i32.const 0) (call $room))))
(func (export "trap_options")
    (i32.store (call $options (i32.const 1)) (i32.const 57))
    (drop (call $try (i32.const 64) (i32.const 11))))
(func (export "trap_options_reserved")
    (i32.store offset=28 (call $options (i32.const 1)) (i32.const 1))
    (drop (call $try (i32.const 64) (i32.const 11))))

;; With what $OPTIONS has.
(func $try (param $name i32) (param $len i32) (result i32)
    (call $spawn (local.get $name) (local.get $len) (i32.const 168) (i32.const 1) (global.get $OPTIONS) (call $room)))
)
