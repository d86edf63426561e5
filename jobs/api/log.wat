;; log: one line for whoever follows the job.
(module
(import "corovan" "log" (func $log (param i32 i32 i32) (result i32)))
;;! prelude

(data (i32.const 512) "a line")

;; At each level, also without a text, also a long one, and more than can be taken.
(func (export "normal") (local $i i32)
    (memory.fill (i32.const 65536) (i32.const 0x61) (i32.const 200000))
    (loop $more
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (call $ok (call $log (local.get $i) (i32.const 512) (i32.const 6)))
        (call $ok (call $log (local.get $i) (i32.const 0) (i32.const 0)))
        (call $ok (call $log (local.get $i) (i32.const 65536) (i32.const 200000)))
        (br_if $more (i32.lt_u (local.get $i) (i32.const 5))))
    (local.set $i (i32.const 1000))
    (loop $more
        (call $ok (call $log (i32.const 3) (i32.const 512) (i32.const 6)))
        (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1))))))

(func (export "error_invalid")
    (call $refused (call $log (i32.const 0) (i32.const 512) (i32.const 6)) (global.get $INVALID))
    (call $refused (call $log (i32.const 6) (i32.const 512) (i32.const 6)) (global.get $INVALID))
    (call $refused (call $log (i32.const -1) (i32.const 512) (i32.const 6)) (global.get $INVALID)))

(func (export "trap_pointer") (drop (call $log (i32.const 3) (global.get $EDGE) (i32.const 2))))
(func (export "trap_text") (drop (call $log (i32.const 3) (i32.const 160) (i32.const 2))))
)
