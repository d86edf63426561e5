;; locate: waits for a holder of a name.
(module
(import "corovan" "register" (func $register (param i32 i32 i32 i64) (result i32)))
(import "corovan" "unregister" (func $unregister (param i32 i32) (result i32)))
(import "corovan" "locate" (func $locate (param i32 i32 i64 i32) (result i32)))
;;! prelude

(data (i32.const 512) "helper_takes_a_name")

(func $find (param $timeout i64) (result i32)
    (call $locate (call $name (i32.const 0)) (global.get $NAME_LEN) (local.get $timeout) (i32.const 16384)))

;; It is there.
(func (export "normal") (local $who i32)
    (local.set $who (call $idler))
    (call $ok (call $register (call $name (i32.const 0)) (global.get $NAME_LEN) (local.get $who) (i64.const 0)))
    (call $ok (call $find (i64.const 0)))
    (call $must (call $same (i32.const 16384) (local.get $who) (i32.const 32))))

;; A channel.
(func (export "normal_channel") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $ok (call $register (call $name (i32.const 0)) (global.get $NAME_LEN) (local.get $channel) (i64.const 0)))
    (call $ok (call $find (i64.const 0)))
    (call $must (call $same (i32.const 16384) (local.get $channel) (i32.const 32))))

;; It comes later.
(func (export "normal_waits") (local $who i32) (local $before i64)
    (local.set $before (call $monotonic))
    (local.set $who (call $child (i32.const 512) (i32.const 19)))
    (call $ok (call $find (global.get $FOREVER)))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))
    (call $must (call $same (i32.const 16384) (local.get $who) (i32.const 32))))
(func (export "helper_takes_a_name")
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $register (call $name_of (call $arg (i32.const 0)) (i32.const 0)) (global.get $NAME_LEN) (call $me) (i64.const 0)))
    (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))

;; One that another computation gave.
;;! needs other-computation
(func (export "normal_of_another_computation")
    (call $ok (call $locate (i32.const 192) (i32.const 18) (i64.const 0) (i32.const 16384)))
    (call $must (call $same (i32.const 16384) (call $arg (i32.const 0)) (i32.const 32))))

(func (export "error_timeout") (local $before i64)
    (local.set $before (call $monotonic))
    (call $refused (call $find (global.get $SECOND)) (global.get $TIMEOUT))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))
    (call $refused (call $find (i64.const 0)) (global.get $TIMEOUT)))

;; A name that was given up is not found.
(func (export "error_timeout_given_up")
    (call $ok (call $register (call $name (i32.const 0)) (global.get $NAME_LEN) (call $me) (i64.const 0)))
    (call $ok (call $unregister (call $name (i32.const 0)) (global.get $NAME_LEN)))
    (call $refused (call $find (i64.const 0)) (global.get $TIMEOUT)))

(func (export "error_interrupted")
    (call $interrupter)
    (call $refused (call $find (global.get $FOREVER)) (global.get $INTERRUPTED)))

(func (export "error_invalid")
    (call $refused (call $locate (i32.const 512) (i32.const 0) (i64.const 0) (i32.const 16384)) (global.get $INVALID))
    (memory.fill (i32.const 16384) (i32.const 0x61) (i32.const 129))
    (call $refused (call $locate (i32.const 16384) (i32.const 129) (i64.const 0) (i32.const 16384)) (global.get $INVALID)))

(func (export "trap_pointer") (drop (call $locate (global.get $EDGE) (i32.const 2) (i64.const 0) (i32.const 16384))))
(func (export "trap_pointer_of_the_address")
    (call $ok (call $register (call $name (i32.const 0)) (global.get $NAME_LEN) (call $me) (i64.const 0)))
    (drop (call $locate (call $name (i32.const 0)) (global.get $NAME_LEN) (i64.const 0) (global.get $EDGE))))
(func (export "trap_text") (drop (call $locate (i32.const 160) (i32.const 2) (i64.const 0) (i32.const 16384))))
)
