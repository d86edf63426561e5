;; serve: offers a function under a name.
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

;; What is made of it is a coroutine of its own, each time.
(func (export "normal") (local $one i32) (local $two i32)
    (call $ok (call $offer (i32.const 0) (i32.const 0)))
    (local.set $one (call $room)) (local.set $two (call $room))
    (call $ok (call $ask (i32.const 0) (i64.const 0) (local.get $one)))
    (call $ok (call $ask (i32.const 0) (i64.const 0) (local.get $two)))
    (call $is (call $same (local.get $one) (local.get $two) (i32.const 32)) (i32.const 0))
    (call $ended_as (local.get $one) (i32.const 1))
    (call $ended_as (local.get $two) (i32.const 1))
    (call $refused (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

;; A message for each, with its address and the name.
(func (export "normal_told") (local $who i32)
    (call $ok (call $offer (i32.const 0) (i32.const 1)))
    (local.set $who (call $room))
    (call $ok (call $ask (i32.const 0) (i64.const 0) (local.get $who)))
    (call $is (call $hear (i64.const 0)) (global.get $NAME_LEN))
    (call $is (i32.load offset=4 (global.get $MESSAGE)) (i32.const 6))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $who) (i32.const 32)))
    (call $must (call $same (global.get $BUF) (call $name (i32.const 0)) (global.get $NAME_LEN))))

;; A function of another module.
;;! needs module
(func (export "normal_of_another_module") (local $who i32)
    (call $ok (call $serve (call $name (i32.const 0)) (global.get $NAME_LEN) (call $arg (i32.const 0)) (i32.const 544) (i32.const 5) (i32.const 0)))
    (local.set $who (call $room))
    (call $ok (call $ask (i32.const 0) (i64.const 0) (local.get $who)))
    (call $ended_as (local.get $who) (i32.const 1))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 568) (i32.const 10))))

;; It goes with its owner.
(func (export "normal_goes_with_its_owner") (local $who i32)
    (local.set $who (call $child (i32.const 600) (i32.const 13)))
    (call $ok (call $locate (call $name (i32.const 0)) (global.get $NAME_LEN) (global.get $FOREVER) (call $room)))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $refused (call $locate (call $name (i32.const 0)) (global.get $NAME_LEN) (i64.const 0) (call $room)) (global.get $TIMEOUT))
    (call $ok (call $offer (i32.const 0) (i32.const 0))))
(func (export "helper_serves")
    (call $ok (call $serve (call $name_of (call $arg (i32.const 0)) (i32.const 0)) (global.get $NAME_LEN) (i32.const 0) (i32.const 512) (i32.const 27) (i32.const 0)))
    (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))

;; A name has one holder, whatever that is.
(func (export "error_taken")
    (call $ok (call $offer (i32.const 0) (i32.const 0)))
    (call $refused (call $offer (i32.const 0) (i32.const 0)) (global.get $TAKEN))
    (call $refused (call $register (call $name (i32.const 0)) (global.get $NAME_LEN) (call $me) (i64.const 0)) (global.get $TAKEN))
    (call $ok (call $register (call $name (i32.const 1)) (global.get $NAME_LEN) (call $me) (i64.const 0)))
    (call $refused (call $offer (i32.const 1) (i32.const 0)) (global.get $TAKEN)))

(func (export "error_unknown_function")
    (call $refused (call $serve (call $name (i32.const 0)) (global.get $NAME_LEN) (i32.const 0) (i32.const 560) (i32.const 6) (i32.const 0)) (global.get $UNKNOWN_FUNCTION)))

;;! needs bad-module
(func (export "error_bad_module")
    (call $refused (call $serve (call $name (i32.const 0)) (global.get $NAME_LEN) (call $arg (i32.const 0)) (i32.const 544) (i32.const 5) (i32.const 0)) (global.get $BAD_MODULE)))

;; No module has these bytes for its name.
(func (export "error_need_module")
    (call $refused (call $serve (call $name (i32.const 0)) (global.get $NAME_LEN) (i32.const 512) (i32.const 544) (i32.const 5) (i32.const 0)) (global.get $NEED_MODULE)))

;; As many as the node keeps for the tenant.
;;! needs little-held
(func (export "error_overloaded") (local $i i32) (local $code i32)
    (loop $more
        (local.set $code (call $offer (local.get $i) (i32.const 0)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.and (i32.eqz (local.get $code)) (i32.lt_u (local.get $i) (i32.const 10000)))))
    (call $refused (local.get $code) (global.get $OVERLOADED))
    (call $ok (call $unserve (call $name (i32.const 0)) (global.get $NAME_LEN)))
    (call $ok (call $offer (i32.const 0) (i32.const 0))))

(func (export "error_invalid")
    (call $refused (call $serve (i32.const 512) (i32.const 0) (i32.const 0) (i32.const 512) (i32.const 27) (i32.const 0)) (global.get $INVALID))
    (memory.fill (i32.const 16384) (i32.const 0x61) (i32.const 129))
    (call $refused (call $serve (i32.const 16384) (i32.const 129) (i32.const 0) (i32.const 512) (i32.const 27) (i32.const 0)) (global.get $INVALID))
    (call $refused (call $offer (i32.const 0) (i32.const 2)) (global.get $INVALID)))

(func (export "trap_pointer") (drop (call $serve (global.get $EDGE) (i32.const 2) (i32.const 0) (i32.const 512) (i32.const 27) (i32.const 0))))
(func (export "trap_pointer_of_the_function")
    (drop (call $serve (call $name (i32.const 0)) (global.get $NAME_LEN) (i32.const 0) (global.get $EDGE) (i32.const 2) (i32.const 0))))
(func (export "trap_pointer_of_the_module")
    (drop (call $serve (call $name (i32.const 0)) (global.get $NAME_LEN) (global.get $EDGE) (i32.const 512) (i32.const 27) (i32.const 0))))
(func (export "trap_text") (drop (call $serve (i32.const 160) (i32.const 2) (i32.const 0) (i32.const 512) (i32.const 27) (i32.const 0))))
)
