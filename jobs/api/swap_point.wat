;; swap_point: agrees to a swap; the new function starts with the state.
(module
;;! prelude

(data (i32.const 512) "helper_asks")
(data (i32.const 530) "helper_new")
(data (i32.const 550) "\18\2a")
(data (i32.const 560) "helper_asks_for_a_broken_one")

;; What it had finished with stays its result.
(func (export "normal")
    (drop (call $child (i32.const 512) (i32.const 11)))
    (call $is (call $hear (i64.const 0)) (i32.const 10))
    (call $is (i32.load offset=4 (global.get $MESSAGE)) (i32.const 4))
    (call $ok (call $send (call $me) (i64.const 1) (i32.const 550) (i32.const 2) (i64.const 0)))
    (call $is (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (i32.const 0)) (i32.const 2))
    (call $is64 (i64.load offset=16 (global.get $MESSAGE)) (i64.const 1))
    (drop (call $swap_point (i32.const 550) (i32.const 2)))
    unreachable)
;; The state is its one argument; a token of before is still good.
(func (export "helper_new")
    (call $is (call $args (global.get $BUF) (global.get $CAP)) (i32.const 3))
    (call $is (i32.load8_u (global.get $BUF)) (i32.const 0x81))
    (call $must (call $same (i32.add (global.get $BUF) (i32.const 1)) (i32.const 550) (i32.const 2)))
    (call $ok (call $take (i64.const 1) (global.get $BUF)))
    (call $must (call $same (global.get $BUF) (i32.const 550) (i32.const 2))))
(func (export "helper_asks")
    (call $ok (call $swap (call $arg (i32.const 0)) (i32.const 0) (i32.const 530) (i32.const 10) (global.get $FOREVER))))

;; The new instance cannot start: we go on.
;;! needs unstartable
(func (export "error_swap_failed")
    (drop (call $child_with_ours (i32.const 560) (i32.const 28)))
    (call $must (i32.gt_s (call $hear (i64.const 0)) (i32.const 0)))
    (call $refused (call $swap_point (i32.const 550) (i32.const 2)) (global.get $SWAP_FAILED))
    (call $refused (call $swap_point (i32.const 550) (i32.const 2)) (global.get $NOT_FOUND))
    (call $ok (call $sleep (global.get $SECOND))))
(data (i32.const 600) "gives")
(func (export "helper_asks_for_a_broken_one")
    (call $refused (call $swap (call $arg (i32.const 0)) (call $arg (i32.const 1)) (i32.const 600) (i32.const 5) (global.get $FOREVER))
        (global.get $SWAP_FAILED)))
;; A child with our address and our own argument.
(func $child_with_ours (param $name i32) (param $len i32) (result i32) (local $out i32)
    (local.set $out (call $room))
    (i32.store (i32.const 1100) (i32.const 0x00205882))
    (call $ok (call $self (i32.const 1103)))
    (i32.store16 (i32.const 1135) (i32.const 0x2058))
    (memory.copy (i32.const 1137) (call $arg (i32.const 0)) (i32.const 32))
    (call $ok (call $spawn (local.get $name) (local.get $len) (i32.const 1100) (i32.const 69) (call $options (i32.const 1)) (local.get $out)))
    (local.get $out))

(func (export "error_not_found")
    (call $refused (call $swap_point (i32.const 550) (i32.const 2)) (global.get $NOT_FOUND)))

;; Told before the pointer is looked at.
(func (export "error_too_large")
    (call $refused (call $swap_point (i32.const 0) (i32.const 0x1000001)) (global.get $TOO_LARGE)))

;; The state is not one CBOR item; the swap is still asked for.
(func (export "error_invalid")
    (drop (call $child (i32.const 512) (i32.const 11)))
    (call $is (call $hear (i64.const 0)) (i32.const 10))
    (call $refused (call $swap_point (i32.const 550) (i32.const 0)) (global.get $INVALID))
    (call $refused (call $swap_point (i32.const 550) (i32.const 1)) (global.get $INVALID))
    (call $ok (call $send (call $me) (i64.const 1) (i32.const 550) (i32.const 2) (i64.const 0)))
    (call $is (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (i32.const 0)) (i32.const 2))
    (drop (call $swap_point (i32.const 550) (i32.const 2)))
    unreachable)

;; The state is charged; the swap is still asked for.
;;! needs little-held
(func (export "error_overloaded")
    (drop (call $child (i32.const 512) (i32.const 11)))
    (call $is (call $hear (i64.const 0)) (i32.const 10))
    (i32.store8 (i32.const 65536) (i32.const 0x5a))
    (i32.store8 (i32.const 65538) (i32.const 0x08))
    (call $refused (call $swap_point (i32.const 65536) (i32.const 524293)) (global.get $OVERLOADED))
    (call $ok (call $send (call $me) (i64.const 1) (i32.const 550) (i32.const 2) (i64.const 0)))
    (call $is (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (i32.const 0)) (i32.const 2))
    (drop (call $swap_point (i32.const 550) (i32.const 2)))
    unreachable)

(func (export "trap_pointer") (drop (call $swap_point (global.get $EDGE) (i32.const 2))))
)
