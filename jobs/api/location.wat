;; location: the node that one is on, in CBOR.
(module
(import "corovan" "location" (func $location (param i32 i32) (result i32)))
;;! prelude

(data (i32.const 512) "\64node\4c")
(data (i32.const 520) "\65state\65alive")

;; Its id is that of our address.
(func (export "normal") (local $size i32) (local $k i32)
    (local.set $size (call $location (global.get $BUF) (global.get $CAP)))
    (call $must (i32.gt_s (local.get $size) (i32.const 20)))
    (call $must (call $has (global.get $BUF) (local.get $size) (i32.const 512) (i32.const 6)))
    (call $must (call $has (global.get $BUF) (local.get $size) (i32.const 520) (i32.const 12)))
    (call $must (call $has (global.get $BUF) (local.get $size) (call $me) (i32.const 12))))

;; Only its size where there is no room, and nothing is written.
(func (export "normal_too_small")
    (i32.store8 (global.get $BUF) (i32.const 7))
    (call $must (i32.gt_s (call $location (global.get $BUF) (i32.const 3)) (i32.const 20)))
    (call $is (i32.load8_u (global.get $BUF)) (i32.const 7)))

(func (export "trap_pointer") (drop (call $location (global.get $NOWHERE) (global.get $CAP))))
)
