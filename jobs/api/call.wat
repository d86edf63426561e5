;; call: has a coroutine made of a service.
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

;; One that comes later.
(func (export "normal") (local $who i32) (local $before i64)
    (drop (call $child (i32.const 640) (i32.const 28)))
    (local.set $before (call $monotonic))
    (local.set $who (call $room))
    (call $ok (call $ask (i32.const 0) (global.get $FOREVER) (local.get $who)))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))
    (call $ended_as (local.get $who) (i32.const 1)))
(data (i32.const 640) "helper_serves_after_a_second")
(func (export "helper_serves_after_a_second")
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $serve (call $name_of (call $arg (i32.const 0)) (i32.const 0)) (global.get $NAME_LEN) (i32.const 0) (i32.const 512) (i32.const 27) (i32.const 0)))
    (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))
(func (export "helper_serves")
    (call $ok (call $serve (call $name_of (call $arg (i32.const 0)) (i32.const 0)) (global.get $NAME_LEN) (i32.const 0) (i32.const 512) (i32.const 27) (i32.const 0)))
    (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))

;; Of another computation, whose module it is.
;;! needs other-computation
(func (export "normal_of_another_computation") (local $who i32)
    (local.set $who (call $room))
    (call $ok (call $call_service (i32.const 580) (i32.const 17) (i32.const 552) (i32.const 3) (global.get $FOREVER) (local.get $who)))
    (call $ended_as (local.get $who) (i32.const 1))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 568) (i32.const 10))))

;; The name is a coroutine's.
(func (export "error_not_found")
    (call $ok (call $register (call $name (i32.const 0)) (global.get $NAME_LEN) (call $me) (i64.const 0)))
    (call $refused (call $ask (i32.const 0) (global.get $FOREVER) (call $room)) (global.get $NOT_FOUND)))

;; It counts for whoever calls.
;;! needs few-coroutines
(func (export "error_overloaded")
    (call $ok (call $offer (i32.const 0) (i32.const 0)))
    (drop (call $idler)) (drop (call $idler)) (drop (call $idler))
    (call $refused (call $ask (i32.const 0) (i64.const 0) (call $room)) (global.get $OVERLOADED)))

;; The owner is to be told, and has no room for that.
(func (export "error_overloaded_owner")
    (call $ok (call $offer (i32.const 0) (i32.const 1)))
    (call $timers)
    (call $refused (call $ask (i32.const 0) (i64.const 0) (call $room)) (global.get $OVERLOADED)))

;; Told before the pointer is looked at.
(func (export "error_too_large")
    (call $refused (call $call_service (call $name (i32.const 0)) (global.get $NAME_LEN) (i32.const 0) (i32.const 0x1000001) (i64.const 0) (call $room)) (global.get $TOO_LARGE)))

(func (export "error_invalid")
    (call $ok (call $offer (i32.const 0) (i32.const 0)))
    (call $refused (call $call_service (call $name (i32.const 0)) (global.get $NAME_LEN) (i32.const 553) (i32.const 1) (i64.const 0) (call $room)) (global.get $INVALID))
    (call $refused (call $call_service (i32.const 512) (i32.const 0) (i32.const 552) (i32.const 3) (i64.const 0) (call $room)) (global.get $INVALID)))

(func (export "error_timeout") (local $before i64)
    (local.set $before (call $monotonic))
    (call $refused (call $ask (i32.const 0) (global.get $SECOND) (call $room)) (global.get $TIMEOUT))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND)))

(func (export "error_interrupted")
    (call $interrupter)
    (call $refused (call $ask (i32.const 0) (global.get $FOREVER) (call $room)) (global.get $INTERRUPTED)))

(func (export "trap_pointer") (drop (call $call_service (global.get $EDGE) (i32.const 2) (i32.const 552) (i32.const 3) (i64.const 0) (call $room))))
(func (export "trap_pointer_of_the_arguments")
    (drop (call $call_service (call $name (i32.const 0)) (global.get $NAME_LEN) (global.get $EDGE) (i32.const 2) (i64.const 0) (call $room))))
;; Seen before a coroutine is made whose address nobody would learn.
(func (export "trap_pointer_of_the_address")
    (call $ok (call $serve (call $name (i32.const 0)) (global.get $NAME_LEN) (i32.const 0) (i32.const 80) (i32.const 12) (i32.const 0)))
    (drop (call $ask (i32.const 0) (i64.const 0) (global.get $EDGE))))
(func (export "trap_text") (drop (call $call_service (i32.const 160) (i32.const 2) (i32.const 552) (i32.const 3) (i64.const 0) (call $room))))
)
