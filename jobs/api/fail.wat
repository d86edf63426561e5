;; fail: ends this coroutine as failed.
(module
;;! prelude

(data (i32.const 512) "expectedtextkind")
(data (i32.const 540) "helper_fails")
(data (i32.const 560) "helper_fails_at_length")

(func (export "fails_normal")
    (call $fail (i32.const 512) (i32.const 8) (i32.const 520) (i32.const 4))
    unreachable)

;; Without a word.
(func (export "fails_empty") (call $fail (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))

;; Kind and text are in the record.
(func (export "normal_in_the_record") (local $who i32)
    (local.set $who (call $child (i32.const 540) (i32.const 12)))
    (call $ended_as (local.get $who) (i32.const 3))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 512) (i32.const 8)))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 520) (i32.const 4))))
(func (export "helper_fails") (call $fail (i32.const 512) (i32.const 8) (i32.const 520) (i32.const 4)))

;; More than is kept is cut: 128 bytes and 4 KiB, of more than 100,000.
(func (export "normal_cut") (local $size i32) (local $who i32)
    (local.set $who (call $child (i32.const 560) (i32.const 22)))
    (drop (call $join (local.get $who) (global.get $FOREVER) (global.get $PART) (i32.const 65536) (i32.const 65536)))
    (local.set $size (i32.load (global.get $PART)))
    (call $must (i32.gt_u (local.get $size) (i32.const 4224)))
    (call $must (i32.lt_u (local.get $size) (i32.const 4600))))
(func (export "helper_fails_at_length")
    (memory.fill (i32.const 65536) (i32.const 0x61) (i32.const 200000))
    (call $fail (i32.const 65536) (i32.const 100000) (i32.const 65536) (i32.const 200000)))

(func (export "trap_pointer") (call $fail (i32.const 512) (i32.const 8) (global.get $NOWHERE) (i32.const 4)))

(func (export "trap_pointer_of_the_kind") (call $fail (global.get $EDGE) (i32.const 8) (i32.const 512) (i32.const 4)))

(func (export "trap_text") (call $fail (i32.const 512) (i32.const 8) (i32.const 160) (i32.const 2)))
)
