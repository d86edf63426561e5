;; peers: the other nodes that are there, in CBOR.
(module
(import "corovan" "peers" (func $peers (param i32 i32 i32) (result i32)))
;;! prelude

;; An array; here of nobody.
(func (export "normal")
    (call $is (call $peers (global.get $PART) (global.get $BUF) (global.get $CAP)) (i32.const 1))
    (call $is (i32.load8_u (global.get $BUF)) (i32.const 0x80))
    (call $is (i32.load (global.get $PART)) (i32.const 1)))

(func (export "error_overloaded")
    (call $tokens)
    (call $refused (call $peers (global.get $PART) (global.get $BUF) (i32.const 0)) (global.get $OVERLOADED)))

(func (export "trap_pointer") (drop (call $peers (global.get $PART) (global.get $NOWHERE) (global.get $CAP))))
(func (export "trap_pointer_of_the_part") (drop (call $peers (global.get $EDGE) (global.get $BUF) (global.get $CAP))))
)
