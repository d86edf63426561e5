;; reply: answers a request, once.
(module
;;! prelude

(data (i32.const 512) "some  bytes")
(data (i32.const 530) "helper_asks")
(data (i32.const 550) "helper_asks_for_a_second")
(data (i32.const 580) "helper_asks_in_vain")

(func (export "normal") (local $who i32)
    (local.set $who (call $child (i32.const 530) (i32.const 11)))
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $must (i32.eqz (i64.eqz (i64.load offset=24 (global.get $MESSAGE)))))
    (call $ok (call $reply (i64.load offset=24 (global.get $MESSAGE)) (global.get $BUF) (i32.const 11)))
    (call $ended_as (local.get $who) (i32.const 1)))
(func (export "helper_asks")
    (call $is (call $ask (global.get $FOREVER)) (i32.const 11))
    (call $must (call $same (global.get $BUF) (i32.const 512) (i32.const 11))))
(func $ask (param $timeout i64) (result i32)
    (call $request (call $arg (i32.const 0)) (i64.const 2) (i32.const 512) (i32.const 11) (local.get $timeout)
        (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)))

;; In another order than that of the requests.
(func (export "normal_out_of_order") (local $first i64) (local $one i32) (local $other i32)
    (local.set $one (call $child (i32.const 530) (i32.const 11)))
    (local.set $other (call $child (i32.const 530) (i32.const 11)))
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (local.set $first (i64.load offset=24 (global.get $MESSAGE)))
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $ok (call $reply (i64.load offset=24 (global.get $MESSAGE)) (global.get $BUF) (i32.const 11)))
    (call $ok (call $reply (local.get $first) (global.get $BUF) (i32.const 11)))
    (call $ended_as (local.get $one) (i32.const 1))
    (call $ended_as (local.get $other) (i32.const 1)))

;; Answered before; never asked; given up by who asked, and by its end.
(func (export "error_gone")
    (drop (call $child (i32.const 530) (i32.const 11)))
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $ok (call $reply (i64.load offset=24 (global.get $MESSAGE)) (global.get $BUF) (i32.const 11)))
    (call $refused (call $reply (i64.load offset=24 (global.get $MESSAGE)) (global.get $BUF) (i32.const 11)) (global.get $GONE))
    (call $refused (call $reply (i64.const 0) (global.get $BUF) (i32.const 11)) (global.get $GONE))
    (call $refused (call $reply (i64.const -1) (global.get $BUF) (i32.const 11)) (global.get $GONE))
    (drop (call $child (i32.const 550) (i32.const 24)))
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $ok (call $sleep (i64.mul (global.get $SECOND) (i64.const 2))))
    (call $refused (call $reply (i64.load offset=24 (global.get $MESSAGE)) (global.get $BUF) (i32.const 11)) (global.get $GONE)))
(func (export "helper_asks_for_a_second") (call $refused (call $ask (global.get $SECOND)) (global.get $TIMEOUT)))

;; It may be tried again with less.
(func (export "error_too_large") (local $who i32)
    (local.set $who (call $child (i32.const 530) (i32.const 11)))
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $refused (call $reply (i64.load offset=24 (global.get $MESSAGE)) (i32.const 0) (global.get $LARGE)) (global.get $TOO_LARGE))
    (call $ok (call $reply (i64.load offset=24 (global.get $MESSAGE)) (global.get $BUF) (i32.const 11)))
    (call $ended_as (local.get $who) (i32.const 1)))

;;! needs little-held
(func (export "error_overloaded") (local $who i32)
    (local.set $who (call $child (i32.const 530) (i32.const 11)))
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $refused (call $reply (i64.load offset=24 (global.get $MESSAGE)) (i32.const 65536) (i32.const 1048576)) (global.get $OVERLOADED))
    (call $ok (call $reply (i64.load offset=24 (global.get $MESSAGE)) (global.get $BUF) (i32.const 11)))
    (call $ended_as (local.get $who) (i32.const 1)))

(func (export "trap_pointer")
    (drop (call $child (i32.const 580) (i32.const 19)))
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (drop (call $reply (i64.load offset=24 (global.get $MESSAGE)) (global.get $EDGE) (i32.const 2))))
(func (export "helper_asks_in_vain") (call $refused (call $ask (global.get $FOREVER)) (global.get $CLOSED)))
)
