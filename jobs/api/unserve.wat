;; unserve: ends an offer.
(module
(import "corovan" "serve" (func $serve (param i32 i32 i32 i32 i32 i32) (result i32)))
(import "corovan" "call" (func $call_service (param i32 i32 i32 i32 i64 i32) (result i32)))
(import "corovan" "unserve" (func $unserve (param i32 i32) (result i32)))
(import "corovan" "register" (func $register (param i32 i32 i32 i64) (result i32)))
(import "corovan" "locate" (func $locate (param i32 i32 i64 i32) (result i32)))
;;! prelude

(data (i32.const 512) "helper_counts_its_arguments")
(data (i32.const 544) "gives")
(data (i32.const 552) "\82\01\02")
(data (i32.const 560) "nobody")
(data (i32.const 568) "\65bytes\43\82\01\02")
(data (i32.const 580) "served by another")
(data (i32.const 600) "helper_serves")

;; Offers the helper under name number $i.
(func $offer (param $i i32) (param $flags i32) (result i32)
    (call $serve (call $name (local.get $i)) (global.get $NAME_LEN) (i32.const 0) (i32.const 512) (i32.const 27) (local.get $flags)))
;; Calls name number $i with an array of two: the address is in the room.
(func $ask (param $i i32) (param $timeout i64) (param $out i32) (result i32)
    (call $call_service (call $name (local.get $i)) (global.get $NAME_LEN) (i32.const 552) (i32.const 3) (local.get $timeout) (local.get $out)))
;; Two arguments, or it traps.
(func (export "helper_counts_its_arguments")
    (call $is (call $args (global.get $BUF) (global.get $CAP)) (i32.const 3))
    (call $must (call $same (global.get $BUF) (i32.const 552) (i32.const 3))))

(func $end_offer (param $i i32) (result i32) (call $unserve (call $name (local.get $i)) (global.get $NAME_LEN)))
(func (export "helper_serves")
    (call $ok (call $serve (call $name_of (call $arg (i32.const 0)) (i32.const 0)) (global.get $NAME_LEN) (i32.const 0) (i32.const 512) (i32.const 27) (i32.const 0)))
    (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))

;; What was made of it goes on, and the name is free.
(func (export "normal") (local $who i32)
    (call $ok (call $serve (call $name (i32.const 0)) (global.get $NAME_LEN) (i32.const 0) (i32.const 48) (i32.const 12) (i32.const 0)))
    (local.set $who (call $room))
    (call $ok (call $ask (i32.const 0) (i64.const 0) (local.get $who)))
    (call $ok (call $end_offer (i32.const 0)))
    (call $refused (call $ask (i32.const 0) (i64.const 0) (call $room)) (global.get $TIMEOUT))
    (call $ok (call $offer (i32.const 0) (i32.const 0)))
    (call $ok (call $resume (local.get $who) (i32.const 0) (i32.const 0) (i64.const 0)))
    (call $ended_as (local.get $who) (i32.const 1)))

;; Another's of this computation.
(func (export "normal_of_others")
    (drop (call $child (i32.const 600) (i32.const 13)))
    (call $ok (call $locate (call $name (i32.const 0)) (global.get $NAME_LEN) (global.get $FOREVER) (call $room)))
    (call $ok (call $end_offer (i32.const 0)))
    (call $ok (call $offer (i32.const 0) (i32.const 0))))

;; Never offered, ended, or no service's name.
(func (export "error_not_found")
    (call $refused (call $end_offer (i32.const 0)) (global.get $NOT_FOUND))
    (call $ok (call $offer (i32.const 0) (i32.const 0)))
    (call $ok (call $end_offer (i32.const 0)))
    (call $refused (call $end_offer (i32.const 0)) (global.get $NOT_FOUND))
    (call $ok (call $register (call $name (i32.const 1)) (global.get $NAME_LEN) (call $me) (i64.const 0)))
    (call $refused (call $end_offer (i32.const 1)) (global.get $NOT_FOUND)))

;;! needs other-computation
(func (export "error_denied") (local $i i32)
    (call $ok (call $locate (i32.const 580) (i32.const 17) (global.get $FOREVER) (call $room)))
    (call $refused (call $unserve (i32.const 580) (i32.const 17)) (global.get $DENIED)))

(func (export "error_invalid")
    (call $refused (call $unserve (i32.const 512) (i32.const 0)) (global.get $INVALID)))

(func (export "trap_pointer") (drop (call $unserve (global.get $EDGE) (i32.const 2))))
(func (export "trap_text") (drop (call $unserve (i32.const 160) (i32.const 2))))
)
