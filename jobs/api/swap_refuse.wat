;; swap_refuse: declines a swap.
(module
;;! prelude

(data (i32.const 512) "helper_asks")
(data (i32.const 530) "helper_new")
(data (i32.const 550) "not today")

;; Whoever asked is told why. Then nothing is asked for any more.
(func (export "normal")
    (drop (call $child (i32.const 512) (i32.const 11)))
    (call $is (call $hear (i64.const 0)) (i32.const 10))
    (call $ok (call $swap_refuse (i32.const 550) (i32.const 9)))
    (call $refused (call $swap_refuse (i32.const 550) (i32.const 9)) (global.get $NOT_FOUND))
    (call $ok (call $hear (i64.const 7))))
(func (export "helper_asks")
    (call $refused (call $swap (call $arg (i32.const 0)) (i32.const 0) (i32.const 530) (i32.const 10) (global.get $FOREVER)) (global.get $SWAP_FAILED))
    (call $must (call $has (global.get $BUF) (call $last_error (global.get $BUF) (global.get $CAP)) (i32.const 550) (i32.const 9)))
    (call $say (call $arg (i32.const 0)) (i64.const 7)))
(func (export "helper_new") unreachable)

(func (export "error_not_found")
    (call $refused (call $swap_refuse (i32.const 550) (i32.const 9)) (global.get $NOT_FOUND)))

(func (export "trap_pointer") (drop (call $swap_refuse (global.get $EDGE) (i32.const 2))))
(func (export "trap_text") (drop (call $swap_refuse (i32.const 160) (i32.const 2))))
)
