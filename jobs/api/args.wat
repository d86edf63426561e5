;; args: the arguments, a CBOR array.
(module
;;! prelude

;; Whoever has a buffer that is too small comes again; what was there is not touched.
(func (export "normal")
    (i32.store8 (global.get $BUF) (i32.const 0x55))
    (call $is (call $args (global.get $BUF) (i32.const 0)) (i32.const 1))
    (call $is (i32.load8_u (global.get $BUF)) (i32.const 0x55))
    (call $is (call $args (global.get $BUF) (i32.const 1)) (i32.const 1))
    (call $is (i32.load8_u (global.get $BUF)) (i32.const 0x80))
    (call $is (call $args (global.get $BUF) (i32.const 100)) (i32.const 1)))

;; What the one that makes a coroutine gives it.
(func (export "normal_of_a_child")
    (call $ended_as (call $child (i32.const 512) (i32.const 12)) (i32.const 1)))
(data (i32.const 512) "helper_looks")
(func (export "helper_looks")
    (call $is (call $args (global.get $BUF) (global.get $CAP)) (i32.const 35))
    (call $is (i32.load8_u (global.get $BUF)) (i32.const 0x81)))

(func (export "trap_pointer") (drop (call $args (global.get $NOWHERE) (i32.const 8))))
)
